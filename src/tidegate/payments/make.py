"""The verbs of payments, built once a process."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.vault import Vault
from tidegate.payments.adopt import AdoptRefund
from tidegate.payments.capture import CancelPayment, Capture
from tidegate.payments.create import Create
from tidegate.payments.customers import Customers
from tidegate.payments.deliver_again import Again
from tidegate.payments.dispute import PursueDispute
from tidegate.payments.endpoints import Endpoints
from tidegate.payments.lease import Leases
from tidegate.payments.methods import Methods
from tidegate.payments.notify import Notify
from tidegate.payments.prompts import KeepEvent, ReadEvent, SweepEvents
from tidegate.payments.pursue import Pursue
from tidegate.payments.pursue_refund import PursueRefund
from tidegate.payments.refund import AskRefund
from tidegate.payments.rules import PaymentRules
from tidegate.payments.stream import Hub, Stream
from tidegate.ports.cards import Cards
from tidegate.ports.notifier import Notifier

__all__ = ["MoneyIn", "Telling", "make_money_in", "make_telling"]


@dataclass(frozen=True, slots=True)
class MoneyIn:
    """What requests and workers call, over one processor."""

    cards: Cards
    leases: Leases
    rules: PaymentRules
    methods: Methods
    create: Create
    capture: Capture
    cancel: CancelPayment
    refund: AskRefund
    keep: KeepEvent
    pursue: Pursue
    pursue_refund: PursueRefund
    pursue_dispute: PursueDispute
    read: ReadEvent
    sweep: SweepEvents


@dataclass(frozen=True, slots=True)
class Telling:
    """What tells clients: webhook endpoints, their deliveries, and the streams."""

    notifier: Notifier
    endpoints: Endpoints
    deliveries: Again
    notify: Notify
    hub: Hub
    stream: Stream


def make_money_in(
    database: Database,
    committer: Committer,
    clock: Clock,
    randomness: Randomness,
    rules: PaymentRules,
    cards: Cards,
) -> MoneyIn:
    """Build the verbs over one processor."""
    three = (committer, clock, randomness)
    customers = Customers(database, *three, cards)
    pursuing = Pursue(database, *three, rules, cards, customers)
    refunding = PursueRefund(database, *three, rules, cards)
    leases = Leases(database, committer, clock, cards.timeout_s)
    keep = KeepEvent(database, *three)
    return MoneyIn(
        cards=cards,
        leases=leases,
        rules=rules,
        methods=Methods(database, *three, cards, customers),
        create=Create(database, *three, rules, cards, pursuing, leases),
        capture=Capture(database, *three, pursuing, leases),
        cancel=CancelPayment(database, *three, pursuing, leases),
        refund=AskRefund(database, *three, refunding, leases),
        keep=keep,
        pursue=pursuing,
        pursue_refund=refunding,
        pursue_dispute=PursueDispute(database, *three, rules, cards),
        read=ReadEvent(database, *three, cards, AdoptRefund(database, clock, randomness, cards)),
        sweep=SweepEvents(clock, keep, cards),
    )


def make_telling(
    database: Database,
    committer: Committer,
    clock: Clock,
    randomness: Randomness,
    vault: Vault,
    notifier: Notifier,
    *,
    streams_per_user: int,
) -> Telling:
    """Build what tells clients."""
    hub = Hub(streams_per_user)
    return Telling(
        notifier=notifier,
        endpoints=Endpoints(database, committer, clock, randomness, vault, notifier),
        deliveries=Again(database, committer, clock),
        notify=Notify(database, committer, clock, randomness, vault, notifier),
        hub=hub,
        stream=Stream(database, clock, hub),
    )
