"""Environment and ``.env`` -> :class:`Settings`, or every fault at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource

from tidegate.errors import ConfigurationError
from tidegate.settings.checks import Fault, check
from tidegate.settings.group import Group
from tidegate.settings.groups import Settings
from tidegate.settings.values import Says

__all__ = ["fields", "groups", "load", "name_of", "says"]

_SHOWN_MAX = 40
_QUOTES = ("'", '"')


def load(env: Mapping[str, str] | None = None, env_file: str | Path | None = ".env") -> Settings:
    """Read the settings.

    ``env`` stands for the process environment (default: the real one) and rules over
    ``env_file``, which may be missing; ``None`` reads no file. A variable without a value counts
    as not given. Raises :class:`ConfigurationError` whose ``faults`` are sentences, each naming
    its variable and what to write instead; no sentence repeats a secret.
    """
    faults: list[Fault] = []
    from_file = _read_file(env_file, faults)
    given = _given(from_file) | _given(os.environ if env is None else env)
    faults += _misspelt(from_file)
    for name in [name for name, value in given.items() if _is_quoted(value)]:
        faults.append(
            Fault(name, "stands in quotation marks, which would become part of it: remove them.")
        )
        del given[name]
    wrong = {fault.name for fault in faults}

    read = _with_derived(given)
    built: dict[str, Group] = {}
    for key, group in groups():
        built[key], found = _build(group, read)
        faults += found
        wrong |= {fault.name for fault in found}
    settings = Settings.model_validate(built)
    # What could not be read has its default by now and must not be judged a second time.
    faults += [fault for fault in check(settings, given.keys()) if fault.name not in wrong]
    if faults:
        raise ConfigurationError([str(fault) for fault in faults])
    return settings


def groups() -> Iterator[tuple[str, type[Group]]]:
    """The groups of :class:`Settings` as (attribute, class)."""
    for key, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield key, field.annotation


def fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every setting as (group attribute, field attribute, field)."""
    for key, group in groups():
        for attribute, field in group.model_fields.items():
            yield key, attribute, field


def name_of(field: FieldInfo) -> str:
    """The variable that a field is read from."""
    return str(field.validation_alias)


def says(field: FieldInfo) -> Says:
    """What to write for a field."""
    # The outermost annotation comes last and knows best.
    return [each for each in field.metadata if isinstance(each, Says)][-1]


def _read_file(env_file: str | Path | None, faults: list[Fault]) -> dict[str, str]:
    if env_file is None:
        return {}
    try:
        source = DotEnvSettingsSource(BaseSettings, env_file=env_file, case_sensitive=True)
        values = source.env_vars
    except (OSError, UnicodeDecodeError) as problem:
        faults.append(
            Fault(str(env_file), f"cannot be read ({type(problem).__name__}): write it as UTF-8.")
        )
        return {}
    return {name: value for name, value in values.items() if value is not None}


def _given(values: Mapping[str, str]) -> dict[str, str]:
    """Keep the settings of ours that have a value, without the blanks around it."""
    ours = {name_of(field) for _, _, field in fields()}
    return {name: text for name in ours & values.keys() if (text := values[name].strip())}


def _misspelt(from_file: Mapping[str, str]) -> Iterator[Fault]:
    """Find names in the file that are nearly ours: a limit that is not read limits nothing.

    The environment is not searched, it is full of other programs' names.
    """
    ours = {name_of(field) for _, _, field in fields()}
    for name in sorted(from_file.keys() - ours):
        if near := get_close_matches(name, sorted(ours), n=1, cutoff=0.85):
            yield Fault(name, f"is no setting: write {near[0]}, or remove the line.")


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] in _QUOTES and value[-1] == value[0]


def _with_derived(given: Mapping[str, str]) -> dict[str, str]:
    read = dict(given)
    if "//sandbox." in given.get("LENCO_BASE_URL", ""):
        read.setdefault("TIDEGATE_ENV", "sandbox")
    return read


def _build(group: type[Group], read: Mapping[str, str]) -> tuple[Group, list[Fault]]:
    """Build a group; where it is refused, name the faults and build it without their variables."""
    by_name = {name_of(field): field for field in group.model_fields.values()}
    values = {name: read[name] for name in by_name.keys() & read.keys()}
    try:
        return group.model_validate(values), []
    except ValidationError as problem:
        found = [_fault(str(each["loc"][0]), by_name, values, each) for each in problem.errors()]
    faults = {fault.name: fault for fault in found}
    kept = {name: value for name, value in values.items() if name not in faults}
    return group.model_validate(kept), list(faults.values())


def _fault(
    name: str, by_name: Mapping[str, FieldInfo], values: Mapping[str, str], error: Any
) -> Fault:
    if error["type"] == "value_error":
        return Fault(name, str(error["ctx"]["error"]))
    rule = says(by_name[name])
    value = values[name]
    short = value if len(value) <= _SHOWN_MAX else f"{value[:_SHOWN_MAX]}..."
    what = "is not usable" if rule.quiet else f"is {short!r}"
    return Fault(name, f"{what}: write {rule.text}.")
