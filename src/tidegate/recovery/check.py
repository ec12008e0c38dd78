"""Check: ask everybody what happened since the backup, by references that only we can compute.

Every order of the last days, from the aggregator's list and the PSP's statement and not only from
our rows, is looked up at every PSP under its attempts' references. What is found there and not
here becomes a row (:mod:`tidegate.payouts.adopt`); what cannot become one is a case. Nothing is
sent. A check may be killed and begun again: each order's result is a commit of its own.

*Not found* is weak evidence (psp.md 3.4): it counts once the window has passed since the
quarantine began, because what the lost node sent last may still turn up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from tidegate.bootstrap import Application
from tidegate.cases.store import OpenCase
from tidegate.db.committer import Unit
from tidegate.db.quarantine import LOOKED_UP, open_quarantine, quarantine_orders, quarantines
from tidegate.db.rows import Change, Insert, Next
from tidegate.errors import AlreadyExists, BadInput, NotInTable, Stale
from tidegate.payouts.adopt import Adopt, unadopted
from tidegate.payouts.references import attempt_reference, order_reference
from tidegate.payouts.states import ENDED, AttemptState
from tidegate.payouts.store import Row, attempts_of, payout_by_order
from tidegate.payouts.tables import attempts, found_transfers, payouts
from tidegate.ports.aggregator import Listed, OrderView
from tidegate.ports.bank import Bank, NotFound, Outcome, OutcomeKind, Unavailable
from tidegate.recovery.cards import look_for_payments
from tidegate.recovery.release import still_missing
from tidegate.recovery.take_up import take_up
from tidegate.work.pace import Pace

__all__ = ["Check", "Checked"]

# So many numbers beyond the last known one are looked up: a refused attempt leaves no trace.
_AHEAD: Final = 3
_REFERENCE: Final = re.compile(r"(tg-[a-z2-7]{22})-([0-9]{2})")
_DONE, _OPEN = LOOKED_UP, "open"
# A transfer of which nothing needs to be looked up any more.
_NOT_THERE = (OutcomeKind.NOT_SENT, OutcomeKind.REJECTED)
_PAID_THERE = frozenset({"validated", "settling", "settled"})
_LOST_TO_US = frozenset({"fulfilling", "processing", "fulfilled", "accepted"}) | _PAID_THERE


@dataclass(slots=True)
class Checked:
    """What one check came to; ``unread`` are lists that could not be read whole."""

    orders: int = 0
    looked_up: int = 0
    found: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Check:
    """One check over the application's own adapters; it may run beside a node that serves."""

    def __init__(self, app: Application) -> None:
        self._app = app
        one = (app.database, app.committer, app.clock, app.randomness)
        self._currencies: dict[str, str] = {}
        self._adopt = Adopt(*one, app.rules)
        self._paces = {
            name: Pace(app.clock, float(app.settings.work.lookup_rate.get(name) or 200))
            for name in app.banks
        }

    async def __call__(self) -> Checked:
        """Ask everybody once. Raises ``BadInput`` outside a quarantine."""
        app = self._app
        quarantine = await app.database.read(open_quarantine)
        if quarantine is None:
            raise BadInput("The node is not in quarantine: there is nothing to check.")
        began_ms = app.clock.now_ms()
        await self._is_same_node(quarantine)
        checked = Checked()
        views = await self._listed(quarantine["since_at"], checked)
        references = await self._stated(quarantine["since_at"], checked)
        await look_for_payments(app, quarantine, checked.unread, checked.unknown)
        orders = await self._note_orders(quarantine, views)
        checked.orders = len(orders)
        for order in orders:
            if order["state"] == _DONE and order["order_id"] not in self._again(references, order):
                continue
            await self._order(quarantine, order, views.get(order["order_id"]), references, checked)
            checked.looked_up += 1
        await self._nobodys(references, checked)
        await self._keep(quarantine, checked, began_ms)
        return checked

    def _again(self, references: Mapping[str, set[str]], order: Row) -> set[str]:
        """An order that is done is asked about again when the statement shows a new transfer."""
        return {order["order_id"]} if self._reference(order["order_id"]) in references else set()

    def _reference(self, order_id: str) -> str:
        return order_reference(self._app.rules.environment, self._app.rules.node_id, order_id)

    async def _is_same_node(self, quarantine: Row) -> None:
        """References that are computed otherwise than the lost node's would find nothing."""
        rules = self._app.rules
        backup = quarantine["backup"]
        rows = await self._app.database.read(
            lambda c: c.execute(select(payouts.c.order_id, payouts.c.reference)).all()
        )
        wrong = [row.order_id for row in rows if self._reference(row.order_id) != row.reference]
        if wrong or backup.get("environment") not in (None, rules.environment):
            raise BadInput(
                "References are computed otherwise here than in the backup (TIDEGATE_ENV is "
                f"{rules.environment}): what was paid would not be found. Correct the settings."
            )

    async def _listed(self, since_ms: int, checked: Checked) -> dict[str, OrderView]:
        """What the aggregator counts as ours, in every currency, whatever its status."""
        views: dict[str, OrderView] = {}
        used = await self._app.database.read(
            lambda c: set(c.execute(select(payouts.c.currency).distinct()).scalars())
        )
        for currency in sorted(used | self._app.rules.currencies):
            query = await self._app.aggregator.orders(currency, since_ms=since_ms)
            if query.listed is not Listed.FOUND:
                checked.unread.append(f"the aggregator's orders in {currency}")
            self._currencies.update({view.order_id: currency for view in query.orders})
            views |= {view.order_id: view for view in query.orders if len(view.order_id) <= 64}
        return views

    async def _stated(self, since_ms: int, checked: Checked) -> dict[str, set[str]]:
        """References of ours on the PSPs' statements: order's reference -> whole references."""
        found: dict[str, set[str]] = {}
        for name, bank in self._app.banks.items():
            for currency in sorted(bank.capabilities().currencies):
                lines = await bank.statement(currency, since_ms)
                if isinstance(lines, Unavailable):
                    checked.unread.append(f"the statement of {name} in {currency}")
                    continue
                for line in lines:
                    if match := _REFERENCE.fullmatch(line.reference or ""):
                        found.setdefault(match[1], set()).add(match[0])
        return found

    async def _note_orders(self, quarantine: Row, views: Mapping[str, OrderView]) -> list[Row]:
        """Write down, once, every order that has to be looked up; all of them then."""
        app = self._app

        def read(connection: Connection) -> tuple[set[str], set[str]]:
            recent = select(payouts.c.order_id).where(
                or_(
                    payouts.c.created_at >= quarantine["since_at"],
                    payouts.c.offered_at >= quarantine["since_at"],
                    payouts.c.state.not_in([state.value for state in ENDED]),
                )
            )
            noted = select(quarantine_orders.c.order_id).where(
                quarantine_orders.c.quarantine_id == quarantine["id"]
            )
            return (
                set(connection.execute(recent).scalars()),
                set(connection.execute(noted).scalars()),
            )

        ours, noted = await app.database.read(read)
        for order_id in sorted((ours | set(views)) - noted):
            row = {
                "id": app.randomness.new_id("qor"),
                "quarantine_id": quarantine["id"],
                "order_id": order_id,
                "state": _OPEN,
                "finding": "not looked up yet",
            }
            try:
                await app.committer.commit(Unit([Insert(quarantine_orders, row)]))
            except AlreadyExists:
                continue  # another check was quicker
        return await app.database.read(partial(_orders_of, quarantine_id=quarantine["id"]))

    async def _order(
        self,
        quarantine: Row,
        order: Row,
        view: OrderView | None,
        references: Mapping[str, set[str]],
        checked: Checked,
    ) -> None:
        """Look one order up at every PSP, and adopt what is there."""
        app, order_id = self._app, order["order_id"]
        reference = self._reference(order_id)
        payout, rows = await app.database.read(lambda c: _rows(c, order_id))
        stated = references.get(reference, set())
        found: list[tuple[Bank, Outcome]] = []
        silent = False
        for bank in app.banks.values():
            for asked in self._asked(reference, payout, rows, stated):
                await self._paces[bank.name].turn()
                answer = await bank.lookup(asked)
                if isinstance(answer, Outcome) and answer.kind in _NOT_THERE:
                    continue
                if isinstance(answer, Outcome) and answer.kind is not OutcomeKind.UNKNOWN:
                    found.append((bank, answer))
                elif not isinstance(answer, NotFound):
                    silent = True
        for bank, answer in found:
            if await self._remember(bank.name, reference, answer):
                checked.found.append(answer.reference)
        whole = True
        if await app.database.read(lambda c: unadopted(c, reference)) and found:
            payout_id = (
                payout["id"] if payout else await self._taken_up(order_id, view, found[0][1])
            )
            try:
                whole = await self._adopt.adopt(payout_id)
            except (Stale, NotInTable):
                whole = False  # it moves at this moment: the next check sees
        if silent:
            await self._write(order, _OPEN, "a PSP did not answer")
        elif not whole:
            await self._write(order, _OPEN, "an older transfer of it has to end first")
        elif found:
            await self._write(order, _DONE, f"{len(found)} transfers found")
        else:
            await self._absent(quarantine, order, payout, view)

    def _asked(
        self, reference: str, payout: Row | None, rows: list[Row], stated: set[str]
    ) -> list[str]:
        """The references under which this order may have a transfer."""
        known = {row["reference"] for row in rows}
        if payout is not None and payout["paid_ever"]:
            return sorted(known | stated)
        last = payout["attempts"] if payout else 0
        numbers = range(1, min(last + _AHEAD, 99) + 1)
        return sorted({*known, *stated, *(attempt_reference(reference, each) for each in numbers)})

    async def _remember(self, psp: str, reference: str, outcome: Outcome) -> bool:
        """Keep a transfer that the books do not have, or wake its attempt; is it new?"""
        app = self._app
        amount = outcome.amount

        def look(connection: Connection) -> tuple[Any, Any]:
            where = attempts.c.psp == psp, attempts.c.reference == outcome.reference
            return (
                connection.execute(select(attempts.c.id, attempts.c.state).where(*where)).first(),
                connection.execute(
                    select(found_transfers.c.id).where(
                        found_transfers.c.psp == psp,
                        found_transfers.c.reference == outcome.reference,
                    )
                ).first(),
            )

        attempt, noted = await app.database.read(look)
        if attempt is not None:
            if attempt.state not in (AttemptState.PAID, AttemptState.REVERSED, AttemptState.HELD):
                wake = Change(attempts, attempt.id, next=Next(f"confirm:{psp}"))
                await app.committer.commit(Unit([wake]))
            return False
        if noted is not None:
            return False
        row = {
            "id": app.randomness.new_id("ftr"),
            "psp": psp,
            "reference": outcome.reference,
            "order_reference": reference,
            "number": int(outcome.reference[-2:]),
            "outcome": outcome.kind.value,
            "certain": outcome.kind is OutcomeKind.FAILED
            and not outcome.ambiguous
            and outcome.hold is None,
            "currency": amount.currency.code if amount else None,
            "amount": amount.minor if amount else None,
            "psp_id": outcome.psp_id,
            "account_number": outcome.account_number,
            "bank_code": outcome.bank_code,
            "found_at": app.clock.now_ms(),
        }
        try:
            await app.committer.commit(Unit([Insert(found_transfers, row)]))
        except AlreadyExists:
            return False
        return True

    async def _taken_up(self, order_id: str, view: OrderView | None, outcome: Outcome) -> str:
        return await take_up(self._app, order_id, view, outcome, self._currencies.get(order_id))

    async def _absent(
        self, quarantine: Row, order: Row, payout: Row | None, view: OrderView | None
    ) -> None:
        """No PSP has a transfer of it: believed when the window is over, and often enough."""
        rules = self._app.rules
        count = order["not_found"] + 1
        over = self._app.clock.now_ms() - quarantine["began_at"] >= rules.not_found_window_ms
        if not over or count < rules.not_found_count:
            await self._write(order, _OPEN, f"not found {count} times so far", not_found=count)
            return
        if payout is None and view is not None and view.status in _LOST_TO_US:
            said = "paid" if view.status in _PAID_THERE else "ours"
            case = OpenCase(
                "order_unknown_here",
                order["order_id"],
                f"The aggregator counts an order as {said} that the restored copy does not know, "
                "and no PSP has a transfer of it. It was not paid through them: cancel it at the "
                "aggregator, or take it up by hand.",
                "high",
                {"status": view.status},
            )
            await self._app.committer.commit(Unit([case]))
        await self._write(order, _DONE, "no PSP has a transfer of it", not_found=count)

    async def _nobodys(self, references: Mapping[str, set[str]], checked: Checked) -> None:
        """Transfers of ours whose order nobody named: kept, so that its offer is recognised."""
        app = self._app
        known = await app.database.read(
            lambda c: set(c.execute(select(payouts.c.reference)).scalars())
        )
        for reference in sorted(references.keys() - known):
            for whole in sorted(references[reference]):
                for bank in app.banks.values():
                    await self._paces[bank.name].turn()
                    answer = await bank.lookup(whole)
                    if isinstance(answer, Unavailable):
                        checked.unread.append(f"the transfer {whole}")
                    if not isinstance(answer, Outcome):
                        continue
                    if await self._remember(bank.name, reference, answer):
                        checked.found.append(whole)
                    checked.unknown.append(whole)
                    case = OpenCase(
                        "transfer_of_unknown_order",
                        whole,
                        "The PSP has a transfer under a reference of ours, and neither the "
                        "restored copy nor the aggregator names its order. If the order is offered "
                        "again it is recognised and not paid. Find the order in the aggregator's "
                        "dashboard by amount and time, and tell it the success.",
                        "high",
                        {"psp": bank.name, "psp_id": answer.psp_id, "outcome": answer.kind.value},
                    )
                    await app.committer.commit(Unit([case]))

    async def _write(self, order: Row, state: str, finding: str, **values: Any) -> None:
        change = Change(
            quarantine_orders,
            order["id"],
            values={
                "state": state,
                "finding": finding,
                "looked_at": self._app.clock.now_ms(),
                **values,
            },
        )
        await self._app.committer.commit(Unit([change]))

    async def _keep(self, quarantine: Row, checked: Checked, began_ms: int) -> None:
        values: dict[str, Any] = {
            "result": {
                "orders": checked.orders,
                "found": checked.found,
                "unread": checked.unread,
                "unknown": checked.unknown,
            }
        }
        if not checked.unread:
            values["listed_at"] = began_ms
        await self._app.committer.commit(
            Unit([Change(quarantines, quarantine["id"], values=values)])
        )
        window_ms = self._app.rules.not_found_window_ms
        checked.missing = await self._app.database.read(lambda c: still_missing(c, window_ms))


def _orders_of(connection: Connection, quarantine_id: str) -> list[Row]:
    wanted = (
        select(quarantine_orders)
        .where(quarantine_orders.c.quarantine_id == quarantine_id)
        .order_by(quarantine_orders.c.order_id)
    )
    return [dict(row) for row in connection.execute(wanted).mappings()]


def _rows(connection: Connection, order_id: str) -> tuple[Row | None, list[Row]]:
    payout = payout_by_order(connection, order_id)
    return payout, [] if payout is None else attempts_of(connection, payout["id"])
