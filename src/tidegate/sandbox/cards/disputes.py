"""Disputes: a cardholder takes the money back, and the issuer decides (processor.md 6)."""

from __future__ import annotations

from functools import partial

from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.later import Later
from tidegate.sandbox.cards.payments import Charge
from tidegate.sandbox.cards.returns import Dispute
from tidegate.sandbox.cards.settlement import Settlement
from tidegate.sandbox.cards.store import Store
from tidegate.sandbox.cards.terms import Terms

__all__ = ["Disputes"]


class Disputes:
    """Opens and closes disputes."""

    def __init__(self, store: Store, events: Events, settlement: Settlement, terms: Terms) -> None:
        self.later = Later(store.clock, lambda: terms.dispute_s)
        self._store = store
        self._events = events
        self._settlement = settlement

    def soon(self, charge: Charge) -> None:
        """Open one after the time of the terms."""
        self.later.put(partial(self._open_once, charge))

    def open(
        self, charge: Charge, amount: int | None = None, reason: str = "fraudulent"
    ) -> Dispute:
        """Take the money back; raises ``ValueError`` when there is none to take."""
        rest = charge.rest
        amount = rest if amount is None else amount
        if charge.disputed or not 0 < amount <= rest:
            raise ValueError(f"{charge.id} cannot be disputed for {amount}: {rest} is left")
        dispute = Dispute(
            id=self._store.new_id("du"),
            created=self._store.seconds(),
            charge=charge,
            amount=amount,
            reason=reason,
        )
        charge.disputed = True
        self._store.add(dispute)
        self._tell("charge.dispute.created", dispute)
        self._settlement.disputed(dispute)
        self._tell("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close(self, dispute: Dispute, *, won: bool) -> None:
        """The issuer has decided; raises ``ValueError`` when it had before."""
        if dispute.status in ("won", "lost"):
            raise ValueError(f"{dispute.id} is {dispute.status} already")
        dispute.status = "won" if won else "lost"
        if won:
            self._settlement.dispute_won(dispute)
        self._tell("charge.dispute.closed", dispute)
        if won:
            self._tell("charge.dispute.funds_reinstated", dispute)

    def _open_once(self, charge: Charge) -> None:
        if not charge.disputed and charge.rest > 0:
            self.open(charge)

    def _tell(self, event: str, dispute: Dispute) -> None:
        intent = dispute.charge.intent
        self._events.emit(event, dispute.json(), intent.payment, (dispute.id, *intent.names))
