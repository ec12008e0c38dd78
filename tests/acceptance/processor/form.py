"""The processor's form bodies: ``a[b][c]=1`` and ``a[]=1`` as nested values."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["Form", "parse_form"]

Form = dict[str, Any]

_PARTS = re.compile(r"\[([^\]]*)\]")


def parse_form(text: str) -> Form:
    """Every leaf is text; ``a[]`` and ``a[0]`` are lists."""
    form: Form = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head = name.split("[", 1)[0]
        _put(form, [head, *_PARTS.findall(name)], value)
    return {name: _listed(value) for name, value in form.items()}


def _put(into: Form, path: list[str], value: str) -> None:
    for part in path[:-1]:
        into = into.setdefault(part, {})
    last = path[-1] or str(len(into))
    into[last] = value


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(each) for name, each in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner
