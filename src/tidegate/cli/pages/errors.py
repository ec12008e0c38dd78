"""``docs/errors.md``: every error code there is, with its sentence and its HTTP status."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

import tidegate
from tidegate.adapters.lenco import tables as lenco
from tidegate.api.problems import status_of
from tidegate.errors import ConfigurationError, TidegateError

__all__ = ["errors_page", "known_errors"]

_INTRODUCTION = """\
# Errors

Every error has a stable code and a sentence. The node answers the aggregator's envelope:

```json
{"status": "error", "message": "<sentence>", "data": {"code": "<code>"}}
```

Codes in capitals are the aggregator's vocabulary; the others are ours. On the command line the
sentence goes to standard error and the exit code is 1, or 2 when the configuration cannot be used.
This page is generated (`python -m tidegate.cli.pages`) from the tree in `src/tidegate/errors.py`
and the table of HTTP statuses in `src/tidegate/api/problems.py`.

`POST /tx_status` answers 422 where the table says 400: an aggregator takes 400 there for "did not
and will not pay". In the live dialect an authentic offer is answered 200 whatever becomes of it;
its refusal is the reason of the decline that follows.
"""

_REASONS = """\
## Reasons on a payout

A payout that did not go through keeps a reason (`reason_code`). Besides the codes above:

| reason | meaning |
|---|---|
| `NOT_OURS` | The aggregator gave the order to somebody else. |
| `UNPROVEN` | Whether the order is ours, or its amount, could not be proven; a person decides. |
| `HELD` | A person decides; the sentence beside it says why. |
| `PSP_TIMEOUT` | The transfer could not be sent within `HOLD_LIMIT`; nothing left the node. |

Reasons that Lenco gives (`src/tidegate/adapters/lenco/tables.py`), and whose fault each is.
*Ambiguous* ones may still turn into success and are believed only after `COOL_OFF`.

| reason | fault | ambiguous |
|---|---|---|
"""


def errors_page() -> str:
    """The whole page."""
    rows = (_row(error) for error in known_errors())
    head = "| code | HTTP | sentence | class |\n|---|---|---|---|\n"
    return f"{_INTRODUCTION}\n{head}{''.join(rows)}\n{_REASONS}{''.join(_lenco())}"


def known_errors() -> list[type[TidegateError]]:
    """The classes of all errors, wherever in the package they are declared, as a tree is read."""
    for module in pkgutil.walk_packages(tidegate.__path__, "tidegate."):
        # Alembic runs its own; a module that is run has nothing to declare.
        if ".migrations." not in module.name and not module.name.endswith("__main__"):
            import_module(module.name)
    return list(_tree(TidegateError))


def _tree(error: type[TidegateError]) -> Iterator[type[TidegateError]]:
    yield error
    children = [each for each in error.__subclasses__() if each.__module__.startswith("tidegate.")]
    # Those of the tree's own module in its order, those declared elsewhere after them.
    home = [each for each in children if each.__module__ == TidegateError.__module__]
    away = sorted((each for each in children if each not in home), key=lambda each: each.__name__)
    for child in (*home, *away):
        yield from _tree(child)


def _row(error: type[TidegateError]) -> str:
    # Nothing is served when the configuration is refused, and commands do not speak HTTP.
    silent = error is ConfigurationError or error.__module__.startswith("tidegate.cli")
    http = "" if silent else status_of(error.__new__(error))
    return f"| `{error.code}` | {http} | {error.sentence} | `{error.__name__}` |\n"


def _lenco() -> Iterator[str]:
    found: dict[str, tuple[str, bool]] = {}
    for meaning in lenco.ERROR_CODES.values():
        if meaning.fault is not None:
            found[meaning.reason_code] = (meaning.fault.value, False)
    for _, reason in lenco.REASONS:
        found[reason.code] = (reason.fault.value, reason.ambiguous)
    for code, (fault, ambiguous) in sorted(found.items()):
        yield f"| `{code}` | {fault} | {'yes' if ambiguous else ''} |\n"
