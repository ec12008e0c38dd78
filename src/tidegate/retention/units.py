"""What operators do to personal data: units that carry their line in the operators' log."""

from __future__ import annotations

from tidegate.cases.store import NoteAction
from tidegate.db.committer import Unit
from tidegate.retention.erase import Erase
from tidegate.retention.erase_order import Recipient
from tidegate.retention.erase_user import UserData
from tidegate.users.administer import By
from tidegate.users.readings import Row

__all__ = ["erase_order", "erase_user"]


def erase_user(row: Row, by: By) -> Unit:
    """Forget a user. ``Stale`` while something of theirs is under way."""
    subject = f"user:{row['id']}"
    note = NoteAction(by.actor, by.origin, "user.erase", subject, by.reason)
    return Unit([Erase(UserData(row["id"])), note])


def erase_order(payout_id: str, actor: str, origin: str, reason: str) -> Unit:
    """Forget the recipient of a payout. ``Stale`` while something of it is open."""
    note = NoteAction(actor, origin, "order.erase", payout_id, reason)
    return Unit([Erase(Recipient(payout_id)), note])
