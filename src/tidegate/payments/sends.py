"""The calls of one step: with which key the next one is made, and which of them may still act.

A processor stores a 5xx under its key as well and brings it back for ever (processor.md 1). Such a
key is *spent*: whether the call took effect is seen by looking, and if there is no trace of it, the
next number makes a new call. The processor's own word that an answer is a stored one proves it.
Without that word a 5xx that comes to a further call counts too, but only of calls about the
payment's object, which acts once under whatever key: never of a refund. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.ports.cards import Unknown

__all__ = ["KEY_MS", "about_to_send", "came_back", "failed", "first_send", "not_begun"]

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


def failed(ended: Unknown) -> bool:
    """The processor, or something before it, answered with an error of its own (5xx)."""
    status = ended.exchange.status
    return status is not None and status >= 500


def came_back(row: Row, ended: Unknown) -> bool:
    """The key of a call about the payment's object is spent: this answer is a stored one, or a
    5xx to a call that was not the key's first (``sends`` counts this one)."""
    return ended.replayed or (row["sends"] > 1 and failed(ended))
