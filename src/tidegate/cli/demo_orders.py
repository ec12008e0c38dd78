"""One order of the demonstration as the three companies see it, and whether it has ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.cli.demo_look import Look
from tidegate.payouts.states import ENDED_UNPAID, State
from tidegate.sandbox.aggregator import Order, Status
from tidegate.sandbox.aggregator.orders import PAID
from tidegate.sandbox.bank import SandboxBank
from tidegate.sandbox.bank.books import Kind
from tidegate.sandbox.bank.transactions import Status as TransferStatus
from tidegate.sandbox.bank.transactions import Transaction
from tidegate.sandbox.faults import Fault
from tidegate.sandbox.scenario import End, Planned, Scenario

__all__ = ["Standing", "standings"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """``payout`` is the node's row (``None``: it has none), ``order`` the aggregator's record
    (``None``: not created yet), ``transfers`` are the bank's, found by the account alone."""

    planned: Planned
    payout: Row | None
    attempts: Sequence[Row]
    cases: Sequence[Row]
    order: Order | None
    transfers: Sequence[Transaction]
    times_paid: int
    reversed_: bool

    @property
    def state(self) -> State | None:
        return None if self.payout is None else State(self.payout["state"])

    @property
    def case_kinds(self) -> list[str]:
        return sorted(case["kind"] for case in self.cases)

    @property
    def held_because(self) -> str:
        """The sentence of a held order."""
        if self.payout is None or self.state is not State.HELD:
            return ""
        return str(self.payout["reason_text"] or self.payout["reason_code"] or "")

    @property
    def reason(self) -> str:
        """Why it is held or was not paid, in words; else its cases."""
        if self.payout is not None and self.state in {State.HELD, *ENDED_UNPAID}:
            return str(self.payout["reason_text"] or self.payout["reason_code"] or "")
        return ", ".join(self.case_kinds)

    @property
    def end(self) -> End | None:
        """Where it has ended; ``None`` while something is still to happen."""
        order, payout = self.order, self.payout
        if order is None:
            return None
        given_back = order.status is Status.REFUNDED
        if payout is None:
            return End.UNPAID if given_back else None
        if payout["due_at"] is not None or payout["leased_until"] is not None:
            return None
        match self.state:
            case State.FULFILLED if order.status is Status.SETTLED:
                if self.planned.trouble.end is End.INCIDENT and not self.cases:
                    return None
                return End.INCIDENT if self.cases else End.PAID
            case State.PAID | State.HELD if self.cases and not self._still_moving:
                return End.PERSON
            case state if state in ENDED_UNPAID:
                # A private order that failed stays where it is: nobody else may have it.
                stays = order.private and order.failed_fulfilment() is not None
                return End.UNPAID if given_back or stays else None
        return None

    @property
    def _still_moving(self) -> bool:
        return any(
            transfer.status is TransferStatus.PENDING or transfer.queued
            for transfer in self.transfers
        )

    @property
    def met(self) -> tuple[Fault, ...]:
        """The faults that this order has met: those of the bank need an attempt to pay."""
        trouble = self.planned.trouble
        return (
            *(trouble.bank if self.attempts else ()),
            *(trouble.aggregator if self.order else ()),
        )

    @property
    def paid_by_aggregator(self) -> bool:
        """Whether the aggregator has it down as paid."""
        return self.order is not None and self.order.status in PAID


def standings(
    scenario: Scenario, look: Look, orders: Mapping[str, Order], bank: SandboxBank
) -> list[Standing]:
    """Every planned order, first to last."""
    by_account: dict[str, list[Transaction]] = {}
    for transfer in bank.transfers.values():
        by_account.setdefault(transfer.account_number, []).append(transfer)
    returned = {line.reference for line in bank.books.lines if line.kind is Kind.REVERSAL}
    found = []
    for planned in scenario:
        payout = look.payouts.get(planned.order_id)
        payout_id = "" if payout is None else payout["id"]
        transfers = by_account.get(planned.account, [])
        found.append(
            Standing(
                planned=planned,
                payout=payout,
                attempts=look.attempts.get(payout_id, []),
                cases=look.cases.get(payout_id, []),
                order=orders.get(planned.order_id),
                transfers=transfers,
                times_paid=sum(bank.times_paid(one.reference) for one in transfers),
                reversed_=any(one.reference in returned for one in transfers),
            )
        )
    return found
