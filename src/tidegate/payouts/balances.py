"""The float: what should be at each PSP, compared with what the PSP says (A9).

A reading R is compared with the band [L - F, L]: L is our total noted before the call, F the
amount plus highest fee of every attempt that may have been sent and was not final at any moment
around the call. Inside the band says nothing. Above it is funding only with the PSP's own line;
else it waits in suspense, with a case. Below it, what is missing is taken from what may be
promised at once, with a case; nothing is called a withdrawal without a line or a person.

A comparison during which something else changed L (funding, a reversal) is thrown away: the
row's ``version`` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import exchange_row
from tidegate.db.rows import Change
from tidegate.errors import AlreadyExists, FloorBroken, Stale
from tidegate.ledger.book import Record
from tidegate.payouts.facts import read_float
from tidegate.payouts.postings import (
    FloatAccounts,
    found_again,
    funded,
    opened,
    shortfall,
    surplus,
    surplus_gone,
)
from tidegate.payouts.states import AttemptState
from tidegate.payouts.store import Row
from tidegate.payouts.tables import attempts, psp_balances
from tidegate.ports.bank import BalanceReading, Bank, Credit, Unavailable

__all__ = ["Band", "Compared", "Float", "Unexplained", "psp_balance_id"]

# Clocks of several processes differ and commits may stall: what was final this long before a
# reading still counts as in flight.
_SKEW_MS = 60_000
# The debit of a failed or reversed transfer may come back well after the news (psp.md 3.6).
_RETURNING_MS = 1_800_000

# May have been sent and is not final: what the PSP may or may not have taken already.
_OPEN = (
    AttemptState.SENDING,
    AttemptState.UNKNOWN,
    AttemptState.PENDING,
    AttemptState.COOLING,
    AttemptState.HELD,
)

_in_flight = select(func.coalesce(func.sum(attempts.c.held), 0)).where(
    attempts.c.psp == bindparam("psp"),
    attempts.c.currency == bindparam("currency"),
    or_(
        and_(attempts.c.final_at.is_(None), attempts.c.state.in_(_OPEN)),
        attempts.c.final_at >= bindparam("since"),
        and_(
            attempts.c.final_at >= bindparam("returning_since"),
            attempts.c.state.in_((AttemptState.FAILED, AttemptState.REVERSED)),
        ),
    ),
)
_row = select(psp_balances).where(psp_balances.c.id == bindparam("id"))


def psp_balance_id(psp: str, currency: str) -> str:
    """The id of the row that keeps a PSP's last reading."""
    return f"{psp}:{currency}"


@dataclass(frozen=True, slots=True)
class Band:
    """What a reading may be, in minor units: ``[total - in_flight, total]``."""

    total: int
    in_flight: int

    def off_by(self, reading: int) -> int:
        """How far ``reading`` is above (positive) or below (negative) the band."""
        if reading > self.total:
            return reading - self.total
        return min(0, reading - (self.total - self.in_flight))


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of one comparison; ``off_by`` as in :meth:`Band.off_by`."""

    reading: int
    off_by: int
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Unexplained:
    """Minor units that are at the PSP, or are not, and nobody knows why.

    ``changed`` is to be written with every entry that changes L outside an order's ordinary life.
    It is refused (``Stale``) when these figures are not the newest any more.
    """

    surplus: int
    missing: int
    changed: Change


@dataclass(frozen=True, slots=True)
class _Noted:
    band: Band
    parts: Mapping[str, int]
    version: int
    first: bool
    opened_ms: int


class Float:
    """Readings, funding and the questions verbs have about them."""

    def __init__(
        self, database: Database, committer: Committer, clock: Clock, randomness: Randomness
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness

    async def unexplained(self, psp: str, currency: str) -> Unexplained:
        """What nobody has explained so far, for an entry that explains some of it."""
        noted = await self._note(psp, currency, self._clock.now_ms())
        return Unexplained(
            surplus=max(0, noted.parts["surplus"]),
            missing=max(0, noted.parts["missing"]),
            changed=_version_moves(psp, currency, noted.version),
        )

    async def compare(self, bank: Bank, currency: str) -> Compared | None:
        """Take a reading and act on it; ``None`` when there was none, or it was overtaken."""
        began_ms = self._clock.now_ms()
        before = await self._note(bank.name, currency, began_ms)
        answer = await bank.balance(currency)
        if isinstance(answer, Unavailable):
            await self._committer.commit(
                Unit(
                    [
                        exchange_row(
                            psp_balance_id(bank.name, currency), answer.exchange, self._randomness
                        )
                    ]
                )
            )
            return None
        after = await self._note(bank.name, currency, began_ms)
        if after.version != before.version:
            return None
        # An attempt that was sent during the call counts as well.
        band = Band(before.band.total, max(before.band.in_flight, after.band.in_flight))
        try:
            return await self._act(bank.name, currency, answer, band, before, began_ms)
        except (Stale, FloorBroken, AlreadyExists):
            return None  # overtaken between reading and writing: the next reading tells

    async def _act(
        self,
        psp: str,
        currency: str,
        answer: BalanceReading,
        band: Band,
        noted: _Noted,
        began_ms: int,
    ) -> Compared:
        reading = answer.available.minor
        row_id = psp_balance_id(psp, currency)
        reading_id = self._randomness.new_id("rdg")
        at = FloatAccounts(psp, currency)
        unit = Unit()
        # A reading that changes nothing leaves the version alone; one that does moves it.
        off_by = 0 if noted.first else band.off_by(reading)
        acts = noted.first or off_by != 0
        unit.add(
            Change(
                psp_balances,
                row_id,
                values={
                    "reading": reading,
                    "read_at": self._clock.now_ms(),
                    **({"opened_at": began_ms} if noted.first else {}),
                    "version": noted.version + (1 if acts else 0),
                },
                expect={"version": noted.version},
            )
        )
        if noted.first:
            if reading > 0:
                unit.add(Record(opened(at, reading_id, reading)))
        elif off_by > 0:
            # First the same unexplained thing undone: what was missing is there again.
            found = min(off_by, max(0, noted.parts["missing"]))
            if found:
                unit.add(Record(found_again(at, reading_id, found)))
            if off_by > found:
                unit.add(Record(surplus(at, reading_id, off_by - found)))
            unit.add(
                OpenCase(
                    "float_surplus",
                    row_id,
                    "The PSP holds more than the books say. It stays in suspense until a credit "
                    "webhook or a statement line explains it.",
                    "medium",
                    {"minor_units": off_by, "reading": reading, "books": band.total},
                ),
            )
        elif off_by < 0:
            for entry in _missing(at, reading_id, -off_by, noted.parts):
                unit.add(Record(entry))
            unit.add(
                OpenCase(
                    "float_shortfall",
                    row_id,
                    "The PSP holds less than the books say. What is missing is no longer promised "
                    "to orders. Find the withdrawal or the fee in the PSP's statement.",
                    "high",
                    {
                        "minor_units": -off_by,
                        "reading": reading,
                        "books": band.total,
                        "in_flight": band.in_flight,
                    },
                )
            )
        if acts:
            unit.add(exchange_row(row_id, answer.exchange, self._randomness))
        await self._committer.commit(unit)
        return Compared(reading, off_by, noted.first)

    async def debit_is_back(self, bank: Bank, attempt: Row) -> bool:
        """Does the PSP's balance prove that a failed transfer's debit was returned (psp.md 3.6)?

        If it were still out, no reading could be above L less its amount, whatever else is in
        flight; so a reading above that proves it. One above L proves nothing: money came in
        that is not booked yet.
        """
        psp, currency = attempt["psp"], attempt["currency"]
        before = await self._note(psp, currency, self._clock.now_ms())
        answer = await bank.balance(currency)
        if isinstance(answer, Unavailable):
            return False
        after = await self._note(psp, currency, self._clock.now_ms())
        total = min(before.band.total, after.band.total)
        least = max(before.band.total, after.band.total) - int(attempt["amount"])
        return before.version == after.version and least < answer.available.minor <= total

    async def fund(self, psp: str, credit: Credit) -> bool:
        """Book incoming money that the PSP's own line proves; once per line.

        ``False`` if it was booked before.
        """
        currency = credit.amount.currency.code
        for _ in range(5):
            noted = await self._note(psp, currency, self._clock.now_ms())
            if noted.first:
                # It will be part of the opening balance; a first reading that is under way may
                # have been taken before it, so that one is thrown away.
                try:
                    await self._committer.commit(
                        Unit([_version_moves(psp, currency, noted.version)])
                    )
                except Stale:
                    continue
                return False
            if credit.completed_ms is not None and credit.completed_ms <= noted.opened_ms:
                return False  # it is part of the opening balance
            explained = min(max(0, noted.parts["surplus"]), credit.amount.minor)
            entry = funded(
                FloatAccounts(psp, currency),
                psp,
                credit.psp_id,
                amount=credit.amount.minor,
                explained=explained,
            )
            unit = Unit(
                [
                    _version_moves(psp, currency, noted.version),
                    Record(entry),
                    exchange_row(psp_balance_id(psp, currency), credit.exchange, self._randomness),
                ]
            )
            try:
                await self._committer.commit(unit)
            except AlreadyExists:
                return False
            except Stale:
                continue
            return True
        raise Stale("The float changes faster than the credit can be booked.")

    async def _note(self, psp: str, currency: str, began_ms: int) -> _Noted:
        return await self._database.fetch(lambda c: _note(c, psp, currency, began_ms))


def _version_moves(psp: str, currency: str, version: int) -> Change:
    return Change(
        psp_balances,
        psp_balance_id(psp, currency),
        values={"version": version + 1},
        expect={"version": version},
    )


def _note(connection: Connection, psp: str, currency: str, began_ms: int) -> _Noted:
    row = connection.execute(_row, {"id": psp_balance_id(psp, currency)}).mappings().one()
    empty = dict.fromkeys(("available", "reserved", "suspense", "missing", "surplus"), 0)
    parts = read_float(connection).get((psp, currency), empty)
    in_flight = connection.execute(
        _in_flight,
        {
            "psp": psp,
            "currency": currency,
            "since": began_ms - _SKEW_MS,
            "returning_since": began_ms - _RETURNING_MS,
        },
    ).scalar_one()
    total = parts["available"] + parts["reserved"] + parts["suspense"]
    return _Noted(
        Band(total, int(in_flight)),
        parts,
        int(row["version"]),
        first=row["reading"] is None,
        opened_ms=row["opened_at"] or 0,
    )


def _missing(
    at: FloatAccounts, reading_id: str, amount: int, parts: Mapping[str, int]
) -> list[Any]:
    """Where a shortfall is taken from: unexplained money first, then what may be promised.

    More than that cannot be taken (the rest is promised to orders under way); the next readings
    find it again as those end.
    """
    gone = min(amount, max(0, min(parts["surplus"], parts["suspense"])))
    short = min(amount - gone, parts["available"])
    entries = []
    if gone:
        entries.append(surplus_gone(at, reading_id, gone))
    if short:
        entries.append(shortfall(at, reading_id, short))
    return entries
