"""What a judgement hears from everybody but the node."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tidegate.sandbox.aggregator import Violation
from tidegate.sandbox.aggregator.orders import Order
from tidegate.sandbox.bank.books import Books as BankBooks
from tidegate.sandbox.cards import Books as CardBooks
from tidegate.sandbox.cards import PaymentIntent
from tidegate.sandbox.shop import Receiver
from tidegate.simulation.buyers import Sale

__all__ = ["Companies"]


@dataclass(frozen=True, slots=True)
class Companies:
    """The others' own word: orders, references of transfers, what was judged. ``doubled`` are the
    requests that the network delivered twice, ``late`` those it delivered when nobody waited any
    more, ``answered_late`` those whose answer came so. ``offered_twice`` are the orders of which
    one offer may arrive twice, from the aggregator (which did not hear the answer) or by the
    network, ``transferred_twice`` the references that the network gave the bank twice.
    ``ahead_ms``: so far the node's clock was set forward; ``behind_ms``: so far it was set back."""

    orders: Sequence[Order]
    violations: Sequence[Violation]
    bank: BankBooks
    transfers: Sequence[str]
    cards: CardBooks
    intents: Sequence[PaymentIntent]
    receiver: Receiver
    sales: Sequence[Sale]
    doubled: Sequence[str]
    late: Sequence[str]
    answered_late: Sequence[str]
    offered_twice: Collection[str]
    transferred_twice: Collection[str]
    ahead_ms: int
    behind_ms: int
