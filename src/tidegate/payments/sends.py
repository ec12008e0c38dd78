"""The calls of one step: with which key the next one is made, and what its end says of the key.

A processor stores a 5xx under its key as well and brings it back for ever (processor.md 1). Such
a key is *spent*: whether the call took effect is seen by looking, and if there is no trace of it,
it never will, so the next number makes a new call. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.ports.cards import Unknown

__all__ = ["about_to_send", "first_send", "is_spent"]

Row = Mapping[str, Any]


def first_send(now_ms: int) -> dict[str, Any]:
    """The columns of the committed intention to make a step's first call: a key that an earlier
    step of the payment spent is no key of this one."""
    return {"sent_at": now_ms, "sends": 1, "spent": False}


def about_to_send(row: Row, now_ms: int) -> dict[str, Any]:
    """The columns of the committed intention to make the call (again)."""
    if row["spent"]:
        return {"sent_at": now_ms, "sends": 1, "spent": False, "step": row["step"] + 1}
    return {"sent_at": now_ms, "sends": row["sends"] + 1}


def is_spent(row: Row, ended: object) -> bool:
    """Did the call end with what the processor keeps under the key: a failure of its own?"""
    if not isinstance(ended, Unknown):
        return False
    again = (ended.exchange.status or 0) >= 500 and row["sends"] > 1
    return ended.replayed or again
