"""What an arrival of an order means, by how the order stands (A3)."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Connection, bindparam, select

from tidegate.payouts.states import ENDED_UNPAID, State
from tidegate.payouts.store import Row
from tidegate.payouts.tables import offers
from tidegate.wire.inbound import Offer

__all__ = ["Meaning", "meaning_of", "offered_meanwhile"]

_newest_offer = (
    select(offers.c.id, offers.c.body, offers.c.dialect, offers.c.meaning, offers.c.received_at)
    .where(offers.c.order_id == bindparam("order_id"))
    .order_by(offers.c.received_at.desc(), offers.c.id.desc())
    .limit(1)
)


class Meaning(StrEnum):
    """What an arrival means."""

    NEW = "new"
    REPEAT = "repeat"  # the round lives, same figures
    CONFLICT = "conflict"  # the round lives, other figures: recorded, changes nothing
    NEW_ROUND = "new_round"  # after a provably unpaid end
    PAID_BEFORE = "paid_before"  # nothing is paid: the success is reported again, and a case
    BUSY = "busy"  # the ended round is being reported at this moment: not opened again now
    REFUSED = "refused"  # spec: will not be done, and the answer says so


def meaning_of(row: Row | None, offer: Offer, now_ms: int) -> Meaning:
    """Decide what ``offer`` means for the payout that stands under its order id. Pure."""
    if row is None:
        return Meaning.NEW
    if row["paid_ever"]:
        return Meaning.PAID_BEFORE
    if State(row["state"]) in ENDED_UNPAID:
        # A cancel under way has no guard at the aggregator: arriving after the accept of a new
        # round it would hand out an order that we are paying (aggregator.md 4.4).
        busy = row["leased_until"] is not None and row["leased_until"] > now_ms
        return Meaning.BUSY if busy else Meaning.NEW_ROUND
    same = (row["currency"], row["institution"]) == (offer.currency, offer.institution) and (
        row["amount_text"] == offer.amount_token
        or (offer.money is not None and row["amount"] == offer.money.minor)
    )
    return Meaning.REPEAT if same else Meaning.CONFLICT


def offered_meanwhile(connection: Connection, row: Row) -> Row | None:
    """The newest arrival of the order if it came after the round's own offer, while the round's end
    was being told; it is taken up when that is over."""
    newest = connection.execute(_newest_offer, {"order_id": row["order_id"]}).mappings().first()
    if newest is None or newest["meaning"] != Meaning.BUSY:
        return None
    return dict(newest) if newest["received_at"] > row["offered_at"] else None
