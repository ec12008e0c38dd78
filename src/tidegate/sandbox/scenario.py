"""A realistic mix of orders with every fault among them: what the demonstration sends. Pure.

The same seed and count give the same orders, amounts, accounts, troubles and arrival times. Each
order knows the trouble that is set for it and the end that this trouble allows, so that whoever
plays the scenario can say whether things went as they should.

The :data:`TROUBLES` are spread over the mix in an order of the seed's; what is left over is
ordinary traffic. A mix of fewer orders than there are troubles has the first ones only, and
:attr:`Scenario.missing` names what it lacks.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from tidegate.clock import Clock, Randomness
from tidegate.sandbox.aggregator.orders import Dialect
from tidegate.sandbox.bank.institutions import account_name
from tidegate.sandbox.faults import AggregatorFault, BankFault, Fault, FaultPlan

__all__ = ["NO_TROUBLE", "TROUBLES", "End", "Planned", "Scenario", "Trouble", "make_scenario"]

T = TypeVar("T")

_B = BankFault
_A = AggregatorFault


class End(StrEnum):
    """Where an order must end up, whatever happens on the way."""

    PAID = "paid"  # the recipient has the money once, the aggregator has settled
    UNPAID = "unpaid"  # nobody has the money, the order was given back
    PERSON = "person"  # it cannot be decided by a machine: a person is asked
    INCIDENT = "incident"  # paid and settled, and afterwards something that a person must see


@dataclass(frozen=True, slots=True)
class Trouble:
    """Faults that strike one order together, and the end they allow.

    ``dialect`` is set where a fault makes sense in one dialect only. A ``private`` order is not
    offered to anybody else, so that a payout that must fail fails once. ``times`` is how often the
    passing ones among the faults strike. ``naira`` bounds the amount where it matters: a failure
    that may still turn into a success is believed once the balance proves that its debit is back,
    and that proof is hidden as long as as much is out for other transfers. So what stays with a
    person is small in this mix, and what fails in that way is large. What makes a node turn away
    from the bank for a while comes last and ``apart`` from its like.
    """

    end: End
    bank: tuple[BankFault, ...] = ()
    aggregator: tuple[AggregatorFault, ...] = ()
    dialect: Dialect | None = None
    private: bool = False
    times: int = 1
    naira: tuple[int, int] | None = None
    apart: bool = False

    @property
    def faults(self) -> tuple[Fault, ...]:
        return (*self.bank, *self.aggregator)


NO_TROUBLE: Final = Trouble(End.PAID)
_SMALL: Final = (1_000, 4_000)
_LARGE: Final = (60_000, 240_000)
_ORDINARY: Final = (2_000, 250_000)

TROUBLES: Final[tuple[Trouble, ...]] = (
    # -- the bank's answer to a transfer is lost or useless: looked up, sent again only on proof --
    Trouble(End.PAID, (_B.DROP_BEFORE,), (_A.ACCEPT_DROP_BEFORE,)),
    Trouble(End.PAID, (_B.DROP_AFTER,), (_A.ACCEPT_DROP_AFTER,)),
    Trouble(End.PAID, (_B.ERROR_500_BEFORE,), (_A.OFFER_TWICE_CONCURRENTLY,)),
    Trouble(End.PAID, (_B.ERROR_503_BEFORE,), (_A.FULFIL_500,)),
    Trouble(End.PAID, (_B.ERROR_503_AFTER,), (_A.FULFIL_DROP_AFTER,)),
    Trouble(End.PAID, (_B.HTML_502_BEFORE,), (_A.ACCEPT_HTML_502,)),
    Trouble(End.PAID, (_B.HTML_502_AFTER,), (_A.FULFIL_DROP_BEFORE,)),
    Trouble(End.PAID, (_B.STATUS_FALSE_BEFORE,), (_A.EARLY_TX_STATUS,), dialect="live"),
    Trouble(End.PAID, (_B.STATUS_FALSE_AFTER,), (_A.RATE_LIMITED_429,)),
    # The most dangerous one: made, its answer lost, not to be found, refused as a duplicate.
    Trouble(End.PAID, (_B.DROP_AFTER, _B.NOT_FOUND_AT_FIRST, _B.DUPLICATE_WITHOUT_CODE)),
    # -- it comes late, or in another form -----------------------------------------------------
    Trouble(End.PAID, (_B.SLOW,), (_A.OFFER_TWICE,)),
    Trouble(End.PAID, (_B.TOO_SLOW,)),
    Trouble(End.PAID, (_B.ACT_LATE,)),
    Trouble(End.PAID, (_B.QUEUED, _B.WEBHOOK_LATE), (_A.FULFIL_SLOW,)),
    Trouble(End.PAID, (_B.ANSWER_CREATED,), (_A.OFFER_OTHER_AMOUNT,)),
    Trouble(End.PAID, (_B.RATE_LIMITED,), (_A.ACCEPT_500,)),
    Trouble(End.PAID, (_B.REFUSE_CONNECTION,), apart=True),
    Trouble(End.PAID, (), (_A.REFUSE_CONNECTION,)),
    Trouble(End.PAID, (_B.UNAUTHORISED,), apart=True),
    # -- failed, and not for certain; or not, and seemingly -------------------------------------
    Trouble(End.PAID, (_B.FAILED_THEN_PAID,)),
    Trouble(End.UNPAID, (_B.FAILED_TIMEOUT,), private=True, naira=_LARGE),
    Trouble(End.UNPAID, (_B.FAILED_MALFUNCTION,), private=True, naira=_LARGE),
    Trouble(End.UNPAID, (_B.FAILED_BANK_UNAVAILABLE,), private=True, naira=_LARGE),
    Trouble(End.UNPAID, (_B.FAILED_UNSUCCESSFUL,)),
    Trouble(End.UNPAID, (_B.FAILED_UNSUCCESSFUL, _B.WEBHOOK_FORGED_SUCCESS), private=True),
    Trouble(End.UNPAID, (_B.FAILED_INSUFFICIENT,), private=True),
    # -- refused before anything was created ----------------------------------------------------
    Trouble(End.UNPAID, (_B.RECIPIENT_INVALID,)),
    Trouble(End.UNPAID, (_B.INSUFFICIENT_FUNDS,), private=True, apart=True),
    Trouble(End.UNPAID, (_B.LIMIT_EXCEEDED,), private=True, apart=True),
    Trouble(End.UNPAID, (_B.ACCOUNT_RESTRICTED,), private=True, apart=True),
    # -- look-ups and webhooks -------------------------------------------------------------------
    Trouble(End.PAID, (_B.NOT_FOUND_AT_FIRST,)),
    Trouble(End.PAID, (_B.LOOKUP_500,), (_A.ACCEPT_SLOW,), times=2),
    Trouble(End.PAID, (_B.LOOKUP_401,), times=2),
    Trouble(End.PAID, (_B.LOOKUP_TIMEOUT,)),
    Trouble(End.PAID, (_B.WEBHOOK_NONE,), (_A.OFFER_NEVER_SENT,)),
    Trouble(End.PAID, (_B.WEBHOOK_DUPLICATE,), (_A.OFFER_STALE_SIGNATURE,)),
    Trouble(End.PAID, (_B.WEBHOOK_SWAPPED,), (_A.OFFER_WRONG_TYPES,)),
    Trouble(End.PAID, (_B.WEBHOOK_STALE,), (_A.ACCEPT_AMOUNT_DIFFERS,), dialect="live"),
    Trouble(End.PAID, (_B.WEBHOOK_BAD_SIGNATURE,)),
    Trouble(End.PAID, (_B.WEBHOOK_RESERIALISED,)),
    Trouble(End.PAID, (_B.WEBHOOK_OTHER_AMOUNT,)),
    # -- orders that cannot be taken, or not be paid ---------------------------------------------
    Trouble(End.UNPAID, (), (_A.ACCEPT_BAD_RECIPIENT, _A.CANCEL_DROP_AFTER), dialect="live"),
    Trouble(End.UNPAID, (), (_A.UNKNOWN_INSTITUTION, _A.DECLINE_500), dialect="live"),
    Trouble(End.UNPAID, (), (_A.UNKNOWN_CURRENCY,), dialect="live"),
    Trouble(End.UNPAID, (), (_A.TOO_LARGE,), dialect="live"),
    # -- a person has to look --------------------------------------------------------------------
    Trouble(End.PERSON, (_B.DECLINED,), naira=_SMALL),
    Trouble(End.PERSON, (_B.LOOKUP_OTHER_AMOUNT,), naira=_SMALL),
    Trouble(End.PERSON, (), (_A.REASSIGNED_403,)),
    Trouble(End.PERSON, (), (_A.ALREADY_REFUNDED,)),
    Trouble(End.INCIDENT, (_B.REVERSED,)),
    Trouble(End.INCIDENT, (), (_A.REOFFER_AFTER_END,)),
)
"""Every fault of both lists but ``balances_500``, which concerns a currency and no order."""

BALANCES_TIMES: Final = 2

# As people are paid in Nigeria: many to the large banks and to the wallets.
_INSTITUTIONS: Final = (
    "GTBINGLA", "GTBINGLA", "ZEIBNGLA", "ZEIBNGLA", "ABNGNGLA", "ABNGNGLA", "UNAFNGLA",
    "FBNINGLA", "SBICNGLA", "WEMANGLA", "KUDANGPC", "OPAYNGPC", "OPAYNGPC", "MONINGPC",
    "PALMNGPC",
)  # fmt: skip
_MEMOS: Final = ("Rent", "School fees", "Salary", "Groceries", "Invoice", "Family support", "")
_SPEC_SHARE: Final = 0.35
# A node that turned away from the bank needs a moment, and a good answer, to come back.
_APART_S: Final = 2.0
_ACCOUNT_STEP: Final = 1_000_003
_ACCOUNTS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Planned:
    """One order of the mix. ``amount`` is naira; ``after_s`` when it is offered."""

    number: int
    order_id: str
    after_s: float
    dialect: Dialect
    amount: Decimal
    institution: str
    account: str
    account_name: str
    memo: str
    trouble: Trouble

    def arm(self, bank: FaultPlan[BankFault], aggregator: FaultPlan[AggregatorFault]) -> None:
        """Set this order's faults; before the order is created."""
        if self.trouble.bank:
            bank.set(self.account, *self.trouble.bank, times=self.trouble.times)
        if self.trouble.aggregator:
            aggregator.set(self.order_id, *self.trouble.aggregator, times=1)


@dataclass(frozen=True, slots=True)
class Scenario:
    """All orders in the order of their arrival."""

    seed: int
    orders: tuple[Planned, ...]
    missing: tuple[Fault, ...] = field(default=())

    def __iter__(self) -> Iterator[Planned]:
        return iter(self.orders)

    def arm(self, bank: FaultPlan[BankFault], aggregator: FaultPlan[AggregatorFault]) -> None:
        """Set every fault of the mix, that of the balances included."""
        for order in self.orders:
            order.arm(bank, aggregator)
        aggregator.set("NGN", _A.BALANCES_500, times=BALANCES_TIMES)


def make_scenario(
    clock: Clock,
    *,
    seed: int,
    orders: int,
    window_s: float,
    salt: str = "",
    troubles: Sequence[Trouble] = TROUBLES,
) -> Scenario:
    """Draw a mix of ``orders`` that arrive within ``window_s`` seconds, some a little later.

    ``salt`` goes into the order ids alone, so that two runs of one seed may share a database.
    """
    chance = Randomness(clock, seed=seed)
    mixed = _mixed(troubles[:orders], chance)
    apart = [one for one in mixed if one.apart]
    others = [one for one in mixed if not one.apart]
    drawn = [*_spread(others, orders - len(apart), chance), *apart]
    arrivals = sorted(chance.uniform(0, window_s) for _ in range(orders - len(apart)))
    arrivals += [window_s + (place + 1) * _APART_S for place in range(len(apart))]
    planned = (
        _plan(number, after_s, trouble, chance, f"{seed}/{salt}")
        for number, (after_s, trouble) in enumerate(zip(arrivals, drawn, strict=True))
    )
    missing = tuple(fault for trouble in troubles[orders:] for fault in trouble.faults)
    return Scenario(seed, tuple(planned), missing)


def _spread(troubles: Sequence[Trouble], total: int, chance: Randomness) -> list[Trouble]:
    """``total`` orders: the troubles in their order, ordinary ones anywhere between them."""
    places = set(_mixed(range(total), chance)[: len(troubles)])
    coming = iter(troubles)
    return [next(coming) if place in places else NO_TROUBLE for place in range(total)]


def _plan(number: int, after_s: float, trouble: Trouble, chance: Randomness, name: str) -> Planned:
    spec = chance.uniform(0, 1) < _SPEC_SHARE
    dialect = trouble.dialect or ("spec" if spec else "live")
    # Small ones are far more frequent.
    least, most = trouble.naira or _ORDINARY
    naira = Decimal(round(10 ** chance.uniform(math.log10(least), math.log10(most))))
    # LIVE knows whole units only, SPEC may send a fraction.
    cents = Decimal(round(chance.uniform(0, 99))) / 100 if dialect == "spec" else Decimal(0)
    account = f"2{(number + 1) * _ACCOUNT_STEP % _ACCOUNTS:09d}"
    digest = hashlib.sha256(f"{name}/{number}".encode()).digest()
    return Planned(
        number=number,
        order_id=str(uuid.UUID(bytes=digest[:16], version=4)),
        after_s=after_s,
        dialect=dialect,
        amount=naira + cents,
        institution=_pick(_INSTITUTIONS, chance),
        account=account,
        account_name=account_name(account),
        memo=_pick(_MEMOS, chance),
        trouble=trouble,
    )


def _pick(these: Sequence[str], chance: Randomness) -> str:
    return these[min(len(these) - 1, int(chance.uniform(0, len(these))))]


def _mixed(these: Iterable[T], chance: Randomness) -> list[T]:
    keyed = [(chance.uniform(0, 1), place, one) for place, one in enumerate(these)]
    return [one for _, _, one in sorted(keyed, key=lambda each: each[:2])]
