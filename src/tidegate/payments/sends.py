"""The calls of one step: with which key the next one is made, and which of them may still act.

A processor stores a 5xx under its key as well and brings it back for ever (processor.md 1); only
its own word that an answer is a stored one proves that. Such a key is *spent*: whether the call
took effect is seen by looking, and if there is no trace of it, it never will, so the next number
makes a new call. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["KEY_MS", "about_to_send", "first_send", "not_begun"]

KEY_MS: Final = 23 * 3_600_000
"""How long a key protects: it may be pruned once it is 24 h old, and then acts a second time."""

Row = Mapping[str, Any]


def first_send(now_ms: int) -> dict[str, Any]:
    """The columns of the committed intention to make a step's first call: a key that an earlier
    step of the payment spent is no key of this one."""
    return {"sent_at": now_ms, "sends": 1, "spent": False}


def about_to_send(row: Row, now_ms: int) -> dict[str, Any]:
    """The columns of the committed intention to make the call (again)."""
    if row["spent"]:
        return {**first_send(now_ms), "step": row["step"] + 1}
    return {"sent_at": now_ms, "sends": row["sends"] + 1}


def not_begun(row: Row) -> dict[str, Any]:
    """The columns once the last call has certainly not begun. An earlier one may still act: only
    without one is it proven (``sent_at`` is ``None``) that nothing left."""
    sends = row["sends"] - 1
    return {"sends": sends, "sent_at": row["sent_at"] if sends else None}
