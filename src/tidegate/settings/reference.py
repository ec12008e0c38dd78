"""The settings as documents: ``docs/configuration.md`` and ``.env.example``.

``python -m tidegate.settings.reference`` writes both below the current directory; a test keeps
them in step with the classes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from tidegate.db.url import DatabaseUrl
from tidegate.settings.reading import fields, groups, name_of, says

__all__ = ["env_example", "markdown", "spelled"]

_INTRODUCTION = """\
# Configuration

Everything is read once, at start, from the environment and from `.env` in the working directory;
the environment rules. A variable without a value counts as not set. Every fault is listed at once
and the process does not start. This page is generated from the settings
(`python -m tidegate.settings.reference`).

- Every change needs a restart of every process; no setting is read again. What acts at once is a
  kill switch (`tidegate switches`).
- Durations are in seconds; fractions are allowed where a number of seconds is asked for.
- Amounts are in major units with a point: `50000.00`. Per currency: `NGN:5000000,KES:100000`; a
  bare number applies to all currencies, a named one rules over it; unset means none.
- **Needed** variables may be left out only with `DEBUG=true`, and not towards a live PSP.
- `..._PREVIOUS` keeps the last secret during a rotation: set it, change the current one, restart,
  and remove it when nothing signed with it can arrive any more.
- Refused at start: wrong values; without `DEBUG` missing secrets, secrets copied from examples,
  plain http towards aggregator or PSP and a PostgreSQL address without TLS (loopback and Unix
  sockets excepted); days of retention below what money needs; a public address or port that
  contains `400`; live keys or addresses in the sandbox environment and the reverse; names in
  `.env` that are nearly those of a setting.
"""

_SECRETS = (
    "- Secret, and written to no log, error or answer: {}, and the password in `DATABASE_URL`. "
    "How each is changed: [change a secret](runbooks/key-rotation.md)."
)

_EXAMPLE = """\
# Copy to .env and fill in what has no value; everything else shows its default.
# The meaning of each is in docs/configuration.md. Keep the copy out of version control.
"""


def markdown() -> str:
    """The configuration reference."""
    parts = [_INTRODUCTION, _secrets()]
    for key, group in groups():
        parts.append(f"\n## {group.__doc__}\n\n`settings.{key}`\n\n")
        parts.append("| variable | write | default | meaning |\n|---|---|---|---|\n")
        for field in group.model_fields.values():
            cells = (
                f"`{name_of(field)}`",
                says(field).text.replace("|", "or"),
                _default_cell(field),
                str(field.description),
            )
            parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


def env_example() -> str:
    """An example of ``.env``: needed variables empty, the others commented with their default."""
    return "\n".join([_EXAMPLE, *_example_lines()])


def spelled(value: Any) -> str:
    """Spell a value as it would be written in the environment; unset and secrets are empty."""
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if value < 100_000 else str(int(value))
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, DatabaseUrl):
        return value.display
    return str(value)


def _secrets() -> str:
    """What holds a secret, by its type; a previous one is as secret as the current one."""
    names = [name_of(field) for _, _, field in fields() if "SecretStr" in str(field.annotation)]
    told = _SECRETS.format(", ".join(f"`{name}`" for name in names))
    return textwrap.fill(told, 100, subsequent_indent="  ", break_on_hyphens=False) + "\n"


def _example_lines() -> Iterator[str]:
    for _, group in groups():
        yield f"# {group.__doc__}"
        for field in group.model_fields.values():
            name = name_of(field)
            yield f"{name}=" if _is_needed(field) else f"# {name}={spelled(field.default)}"
        yield ""


def _default_cell(field: FieldInfo) -> str:
    if _is_needed(field):
        return "**needed**"
    text = spelled(field.default)
    return f"`{text}`" if text else "unset"


def _is_needed(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra["needed"])


if __name__ == "__main__":
    Path("docs/configuration.md").write_text(markdown(), encoding="utf-8")
    Path(".env.example").write_text(env_example(), encoding="utf-8")
