"""Release: the quarantine ends, by a person, when nothing is missing any more."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from tidegate.cases.store import NoteAction
from tidegate.db.committer import Unit
from tidegate.db.inbox import inbox
from tidegate.db.quarantine import (
    LOOKED_UP,
    open_quarantine,
    quarantine_orders,
    quarantines,
)
from tidegate.db.rows import Change
from tidegate.errors import Conflict
from tidegate.payouts.adopt import ADOPT
from tidegate.payouts.tables import payouts

__all__ = ["release", "still_missing"]


def release(
    connection: Connection,
    *,
    window_ms: int,
    now_ms: int,
    by: str,
    reason: str,
    force: bool,
) -> Unit:
    """The unit that ends it, with the operator's reason in the log of actions.

    Raises ``Conflict`` when there is none, or when something is missing and ``force`` is not set.
    """
    quarantine = open_quarantine(connection)
    if quarantine is None:
        raise Conflict("The node is not in quarantine.")
    missing = still_missing(connection, window_ms)
    if missing and not force:
        raise Conflict(" ".join(missing))
    values = {
        "released_at": now_ms,
        "released_by": by,
        "release_reason": reason,
        "forced": bool(missing),
    }
    return Unit(
        [
            Change(quarantines, quarantine["id"], values=values, expect={"released_at": None}),
            NoteAction(
                by,
                "cli",
                "quarantine.forced" if missing else "quarantine.released",
                quarantine["id"],
                reason,
                {"missing": missing},
                {"released": True},
            ),
        ]
    )


def still_missing(connection: Connection, window_ms: int) -> list[str]:
    """Why the quarantine may not end yet, in sentences; empty when it may."""
    quarantine = open_quarantine(connection)
    if quarantine is None:
        return []
    found = []
    listed = quarantine["listed_at"]
    if listed is None or listed < quarantine["began_at"] + window_ms:
        found.append(
            "The lists of the aggregator, the PSPs and the card processor were not read whole "
            f"since the not-found window ({window_ms // 1000} s after the restore) was over."
        )
    open_ = connection.execute(
        select(func.count())
        .select_from(quarantine_orders)
        .where(
            quarantine_orders.c.quarantine_id == quarantine["id"],
            quarantine_orders.c.state != LOOKED_UP,
        )
    ).scalar_one()
    if open_:
        found.append(f"{open_} orders are not looked up to the end.")
    waiting = connection.execute(
        select(func.count()).select_from(payouts).where(payouts.c.kind == ADOPT)
    ).scalar_one()
    if waiting:
        found.append(f"{waiting} orders wait for transfers to be taken into the books.")
    unread = connection.execute(
        select(func.count()).select_from(inbox).where(inbox.c.due_at.is_not(None))
    ).scalar_one()
    if unread:
        found.append(f"{unread} kept webhooks are not read: let the node serve until they are.")
    return found
