"""Form-encoded bodies and queries with bracket keys, as Stripe's API reads them.

``card[number]=42&expand[]=customer&metadata[a]=b`` becomes
``{"card": {"number": "42"}, "expand": ["customer"], "metadata": {"a": "b"}}``; values stay text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from tidegate.sandbox.cards.refusals import Refusal, invalid

__all__ = ["Params", "flag", "metadata", "parse", "text", "whole"]

Params: TypeAlias = Mapping[str, Any]

_METADATA_KEYS = 50
_METADATA_KEY = 40
_METADATA_VALUE = 500


def parse(encoded: str) -> dict[str, Any]:
    """Read a body or a query; raises :class:`Refusal` for brackets that make no sense."""
    return _nest(parse_qsl(encoded, keep_blank_values=True))


def text(params: Params, name: str, *, required: bool = False) -> str | None:
    """A field, ``None`` when it is absent or empty; a missing required one is refused."""
    value = params.get(name)
    if isinstance(value, dict | list):
        raise invalid(f"{name} must be a string", name)
    if not value:
        if required:
            raise Refusal(
                f"Missing required parameter: {name}", code="parameter_missing", param=name
            )
        return None
    return str(value)


def whole(params: Params, name: str, *, least: int = 0, required: bool = False) -> int | None:
    """An integer of at least ``least``."""
    value = text(params, name, required=required)
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if number < least or not value.lstrip("-").isdigit():
        raise Refusal(
            f"{name} must be an integer of {least} or more",
            code="parameter_invalid_integer",
            param=name,
        )
    return number


def flag(params: Params, name: str) -> bool:
    """``true`` or ``false``; absent is false."""
    value = text(params, name)
    if value not in (None, "true", "false"):
        raise invalid(f"{name} is true or false", name)
    return value == "true"


def metadata(params: Params, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """The metadata after this call: new keys are added, an empty value takes its key away.

    Empty as a whole takes all keys away.
    """
    given = params.get("metadata", {})
    if given == "":
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise invalid("metadata is a set of keys with text", "metadata")
    merged = {**(before or {}), **given}
    kept = {key: value for key, value in merged.items() if value != ""}
    if len(kept) > _METADATA_KEYS:
        raise invalid(f"metadata has at most {_METADATA_KEYS} keys", "metadata")
    for key, value in given.items():
        if len(key) > _METADATA_KEY or len(value) > _METADATA_VALUE:
            raise invalid("a key has at most 40 characters, a value 500", f"metadata[{key}]")
    return kept


def _nest(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        head, *rest = key.replace("]", "").split("[")
        _put(result, [head, *rest], value, key)
    return _lists(result)


def _put(place: dict[str, Any], path: list[str], value: str, key: str) -> None:
    for step in path[:-1]:
        place = place.setdefault(step, {})
        if not isinstance(place, dict):
            raise invalid(f"{key} is both a value and a group", key)
    last = path[-1]
    if last == "":
        last = str(len(place))
    if isinstance(place.get(last), dict):
        raise invalid(f"{key} is both a value and a group", key)
    place[last] = value


def _lists(group: dict[str, Any]) -> dict[str, Any]:
    """Turn groups that are numbered from 0 into lists; metadata keeps its keys."""
    for key, value in group.items():
        if isinstance(value, dict) and key != "metadata":
            inner = _lists(value)
            numbered = list(inner) == [str(number) for number in range(len(inner))]
            group[key] = list(inner.values()) if numbered else inner
    return group
