"""One reading at a time, against crafted books: what Float.compare makes of it (A9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from tests.support.databases import Prepare
from tests.support.node import migrate
from tidegate.cases.tables import cases
from tidegate.clock import Randomness, SimulatedClock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database, open_database
from tidegate.db.exchanges import Exchange
from tidegate.db.url import parse
from tidegate.errors import Stale
from tidegate.ledger.book import Record
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.payouts.balances import Compared, Float, psp_balance_id
from tidegate.payouts.facts import read_float
from tidegate.payouts.postings import FloatAccounts, reserved
from tidegate.payouts.states import AttemptState
from tidegate.payouts.tables import attempts, payouts, psp_balances
from tidegate.ports.bank import BalanceReading, Credit, Unavailable

NAIRA = parse_currency("NGN")
AT = FloatAccounts("lenco", "NGN")
SAID = Exchange("lenco", "balance", "GET", "/", "", 200, "", None, 0, 1)
BEGAN = 1_728_201_600_000

Meanwhile = Callable[[], Awaitable[object]]


async def _nothing() -> None:
    return None


class ReadBank:
    """A PSP of which only the balance is asked; ``meanwhile`` happens during the call."""

    name = "lenco"

    def __init__(self) -> None:
        self.says: int | None = 0
        self.meanwhile: Meanwhile = _nothing

    async def balance(self, currency: str) -> BalanceReading | Unavailable:
        await self.meanwhile()
        if self.says is None:
            return Unavailable(SAID)
        return BalanceReading(Money(self.says, NAIRA), None, SAID)


class Desk:
    """A float of one PSP in a database of its own."""

    def __init__(self, database: Database) -> None:
        self.clock = SimulatedClock(BEGAN)
        self.database = database
        self.committer = Committer(database)
        self.float = Float(database, self.committer, self.clock, Randomness(self.clock, seed=1))
        self.bank = ReadBank()

    async def open(self) -> None:
        self.committer.start()
        row = {"id": psp_balance_id("lenco", "NGN"), "psp": "lenco", "currency": "NGN"}
        await self.database.write(lambda c: c.execute(insert(psp_balances), row))

    async def reads(self, reading: int | None, meanwhile: Meanwhile = _nothing) -> Compared | None:
        """Compare with a PSP that says so."""
        self.bank.says, self.bank.meanwhile = reading, meanwhile
        return await self.float.compare(self.bank, "NGN")  # type: ignore[arg-type]  # of a PSP it asks the balance alone

    async def credit(self, amount: int, number: str = "cr-1") -> bool:
        """A credit of the PSP's own line, completed now."""
        self.clock.advance(1)
        line = Credit(number, Money(amount, NAIRA), SAID, self.clock.now_ms())
        return await self.float.fund("lenco", line)

    async def attempt(self, state: AttemptState, held: int, final_at: int | None = None) -> str:
        """A payout with one attempt; what it holds is reserved."""
        number = len(await self._ids()) + 1
        payout = {
            "id": f"po_{number}",
            "order_id": f"order_{number}",
            "dialect": "live",
            "state": "processing",
            "round": 1,
            "currency": "NGN",
            "amount_text": "1",
            "institution": "GTBINGLA",
            "exclude_psps": [],
            "offered_at": BEGAN,
            "expires_at": BEGAN,
            "reference": "tg-x",
            "tx_id": "tg-x",
            "created_at": BEGAN,
            "held": held,
        }
        attempt = {
            "id": f"att_{number}",
            "payout_id": payout["id"],
            "round": 1,
            "number": 1,
            "psp": "lenco",
            "reference": f"tg-{number}-01",
            "state": state.value,
            "currency": "NGN",
            "amount": held,
            "held": held,
            "final_at": final_at,
            "created_at": BEGAN,
        }

        def write(connection: Connection) -> None:
            connection.execute(insert(payouts), payout)
            connection.execute(insert(attempts), attempt)

        await self.database.write(write)
        await self.committer.commit(Unit([Record(reserved(AT, str(payout["id"]), 1, held))]))
        return str(attempt["id"])

    async def ends(self, attempt_id: str, state: AttemptState) -> None:
        """The attempt is final now; its entries are not this test's matter."""
        values = {"state": state.value, "final_at": self.clock.now_ms()}
        change = update(attempts).where(attempts.c.id == attempt_id).values(values)
        await self.database.write(lambda c: c.execute(change))

    async def parts(self) -> Mapping[str, int]:
        """Available, reserved, suspense, missing, surplus."""
        return (await self.database.read(read_float)).get(("lenco", "NGN"), {})

    async def cases(self) -> list[tuple[str, int]]:
        """(kind, how often seen) of every case."""
        rows = await self.database.read(
            lambda c: [tuple(row) for row in c.execute(select(cases.c.kind, cases.c.times))]
        )
        return [(str(kind), int(times)) for kind, times in rows]

    async def version(self) -> int:
        statement = select(psp_balances.c.version)
        return int(await self.database.read(lambda c: c.execute(statement).scalar_one()))

    async def _ids(self) -> list[Any]:
        return await self.database.read(lambda c: list(c.execute(select(payouts.c.id))))


@pytest.fixture
async def desk(
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> AsyncIterator[Desk]:
    database = open_database(parse(make_template("node", migrate)()), SimulatedClock(), pool_size=4)
    made = Desk(database)
    await made.open()
    yield made
    await made.committer.stop()
    await database.close()


@pytest.fixture
async def opened(desk: Desk) -> Desk:
    """A float of 1,000."""
    assert await desk.reads(1_000) == Compared(1_000, 0, opened=True)
    return desk


async def test_the_first_reading_is_the_opening_balance(desk: Desk) -> None:
    """It is float from then on, and no news to anybody."""
    assert await desk.reads(1_000) == Compared(1_000, 0, opened=True)
    assert (await desk.parts())["available"] == 1_000
    assert await desk.reads(1_000) == Compared(1_000, 0)
    assert await desk.cases() == []


async def test_an_account_may_open_empty(desk: Desk) -> None:
    """Nothing to post, and yet a first reading: what comes after it is news."""
    assert await desk.reads(0) == Compared(0, 0, opened=True)
    assert await desk.reads(5) == Compared(5, 5)
    assert await desk.cases() == [("float_surplus", 1)]


async def test_inside_the_band_nothing_is_said(opened: Desk) -> None:
    """Readings that fit change neither books nor version."""
    await opened.attempt(AttemptState.PENDING, 300)
    version = await opened.version()
    for reading in (1_000, 850, 700):
        assert await opened.reads(reading) == Compared(reading, 0)
    assert await opened.version() == version
    assert await opened.cases() == []


@pytest.mark.parametrize(
    "state",
    [
        AttemptState.SENDING,
        AttemptState.UNKNOWN,
        AttemptState.PENDING,
        AttemptState.COOLING,
        AttemptState.HELD,
    ],
)
async def test_what_may_have_been_sent_counts(opened: Desk, state: AttemptState) -> None:
    """Debited or not: both are inside."""
    await opened.attempt(state, 300)
    assert await opened.reads(700) == Compared(700, 0)
    assert await opened.reads(1_000) == Compared(1_000, 0)


@pytest.mark.parametrize("state", [AttemptState.PREPARED, AttemptState.WITHDRAWN])
async def test_what_never_left_does_not_count(opened: Desk, state: AttemptState) -> None:
    """A debit for it cannot be ours."""
    await opened.attempt(state, 300)
    assert await opened.reads(700) == Compared(700, -300)


async def test_an_end_during_the_call_counts(opened: Desk) -> None:
    """Final between the note and the reading: debited or returned, nobody can tell which came
    first."""
    one = await opened.attempt(AttemptState.PENDING, 300)
    ending = await opened.reads(700, lambda: opened.ends(one, AttemptState.PAID))
    assert ending == Compared(700, 0)


async def test_a_transfer_sent_during_the_call_counts(opened: Desk) -> None:
    """Sent and debited between the note and the reading."""
    sending = await opened.reads(700, lambda: opened.attempt(AttemptState.SENDING, 300))
    assert sending == Compared(700, 0)


async def test_funding_during_the_call_throws_the_reading_away(opened: Desk) -> None:
    """L changed under it: the next reading tells, this one would have called it unexplained."""
    assert await opened.reads(1_500, lambda: opened.credit(500)) is None
    assert await opened.cases() == []
    assert await opened.reads(1_500) == Compared(1_500, 0)
    assert (await opened.parts())["available"] == 1_500


async def test_a_credit_seen_before_its_line_is_explained_by_it(opened: Desk) -> None:
    """Above the band is suspense and a case; the PSP's line makes it float, once."""
    assert await opened.reads(1_500) == Compared(1_500, 500)
    parts = await opened.parts()
    assert (parts["available"], parts["suspense"], parts["surplus"]) == (1_000, 500, 500)
    assert await opened.credit(500)
    assert not await opened.credit(500), "the same line"
    parts = await opened.parts()
    assert (parts["available"], parts["suspense"], parts["surplus"]) == (1_500, 0, 0)
    assert await opened.reads(1_500) == Compared(1_500, 0)
    assert await opened.cases() == [("float_surplus", 1)]


async def test_a_withdrawal_is_never_invented(opened: Desk) -> None:
    """Below the band, what is missing leaves what may be promised, under no other name."""
    assert await opened.reads(400) == Compared(400, -600)
    parts = await opened.parts()
    assert (parts["available"], parts["missing"]) == (400, 600)
    assert await opened.reads(400) == Compared(400, 0)
    assert await opened.cases() == [("float_shortfall", 1)]


async def test_more_is_missing_than_is_available(opened: Desk) -> None:
    """What is promised to orders under way stays promised; the case is seen again and again, and
    the rest is taken when the orders end."""
    one = await opened.attempt(AttemptState.PREPARED, 700)
    assert await opened.reads(200) == Compared(200, -800)
    parts = await opened.parts()
    assert (parts["available"], parts["reserved"], parts["missing"]) == (0, 700, 300)
    assert await opened.reads(200) == Compared(200, -500)
    assert await opened.cases() == [("float_shortfall", 2)]
    await opened.ends(one, AttemptState.WITHDRAWN)
    assert await opened.reads(200) is not None


async def test_what_was_missing_may_come_back(opened: Desk) -> None:
    """Found again, it may be promised again: no second surplus of the same money."""
    await opened.reads(400)
    assert await opened.reads(1_000) == Compared(1_000, 600)
    parts = await opened.parts()
    assert (parts["available"], parts["missing"], parts["surplus"]) == (1_000, 0, 0)


async def test_unexplained_money_goes_before_float(opened: Desk) -> None:
    """A surplus that is gone at the next reading was never ours to promise."""
    await opened.reads(1_500)
    assert await opened.reads(1_000) == Compared(1_000, -500)
    parts = await opened.parts()
    assert (parts["available"], parts["suspense"], parts["surplus"]) == (1_000, 0, 0)
    assert parts["missing"] == 0


async def test_a_failed_question_says_nothing(opened: Desk) -> None:
    """No reading, no comparison."""
    assert await opened.reads(None) is None
    assert await opened.cases() == []


async def test_a_credit_before_the_first_reading_is_part_of_it(desk: Desk) -> None:
    """Not booked beside the opening balance; a first reading that was under way is thrown away,
    for it may be older than the credit."""
    assert await desk.reads(1_000, lambda: desk.credit(500)) is None
    assert await desk.reads(1_500) == Compared(1_500, 0, opened=True)
    assert (await desk.parts())["available"] == 1_500
    assert await desk.cases() == []


async def test_two_readings_at_once_act_once(opened: Desk) -> None:
    """Whoever commits second sees that the version moved."""
    found = await asyncio.gather(opened.reads(400), opened.reads(400))
    assert sorted(one.off_by for one in found if one is not None) == [-600]
    assert (await opened.parts())["missing"] == 600


async def test_what_explains_a_surplus_must_know_the_newest(opened: Desk) -> None:
    """An entry decided on an older reading is refused, so that nothing is explained twice."""
    known = await opened.float.unexplained("lenco", "NGN")
    await opened.reads(1_500)
    with pytest.raises(Stale):
        await opened.committer.commit(Unit([known.changed]))
    newest = await opened.float.unexplained("lenco", "NGN")
    assert (newest.surplus, newest.missing) == (500, 0)
    await opened.committer.commit(Unit([newest.changed]))
