"""Every command that a page tells its reader to type is run in the page's order, where the page
would be read: beside a node that works, with the trouble that the page is about.

A page that is not named in ``pages.py`` is read in the first scene; a command that no scene can run
stands there too, with the file that runs it (``tests/unit/docs/test_commands.py``).
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.api.ops_world import STRIPE_KEY, WEBHOOK_SECRET, ops
from tests.integration.cli.payments_world import MISSING, UNKNOWN, fill_payments
from tests.integration.cli.world import DECLINED, HELD, fill
from tests.integration.documents.conftest import OpenTerminal
from tests.integration.documents.pages import (
    PAGES,
    PAYMENTS,
    RESTORE,
    SIMULATION,
    commands,
    line_of,
    listed,
)
from tests.integration.documents.terminal import Terminal
from tests.support.databases import Databases
from tests.support.programs import postgresql_programs
from tests.support.world import OpenWorld, World
from tests.unit.docs.documents import ROOT, name_of
from tidegate.cases.tables import cases
from tidegate.clock import SystemClock
from tidegate.db.engine import open_database
from tidegate.db.url import parse
from tidegate.payouts.states import State
from tidegate.sandbox.bank.transactions import Status
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.faults import BankFault

# What the text around a command promises of its answer.
SAYS: Final[Mapping[str, str]] = {
    "tidegate migrate": r"Node \S+",
    "tidegate doctor": r"failed: 0",
    "tidegate orders list": r"fulfilled",
    "tidegate orders show": r"state +held",
    "tidegate orders look": r"is looked up now",
    "tidegate orders resolve ORDER_ID --as paid": r"is paid now",
    "tidegate orders resolve ORDER_ID --as resumed": r"is accepted now",
    "tidegate orders resolve ORDER_ID --as unpaid": r"is failed now",
    "tidegate orders erase": r"(?i)forgotten|overwritten|erased",
    "tidegate users erase": r"(?i)forgotten|overwritten|erased",
    "tidegate cases list": r"payout_held|payment_unknown|psp_refuses_us",
    "tidegate cases close": r"closed",
    "tidegate balances": r"NGN",
    "tidegate ledger trial-balance": r"psp:lenco:available:NGN",
    "tidegate ledger statement": r"float\.opened",
    "tidegate switches off": r"is OFF",
    "tidegate switches list": r"psp:lenco|switch",
    "tidegate switches on": r"is on|ON",
    "tidegate payments show": r"pay_",
    "tidegate payments look": r"is due now",
    "tidegate payments resolve": r"is closed as failed",
    "tidegate webhooks deliveries show": r"500",
    "tidegate webhooks replay": r"\d",
    "tidegate sandbox faults": r"drop_before",
    "tidegate backup": r"Written: ",
    "tidegate restore": r"The backup is whole",
    "tidegate quarantine check": r"Nothing is missing",
    "tidegate quarantine release": r"The quarantine is over",
    "tidegate simulate": r"1 runs, 0 broken",
}

Values = Callable[[list[str]], Awaitable[Mapping[str, str]]]


_BUSY: Final = "is being worked on at this moment: try again shortly"
_PATIENCE_S: Final = 60.0


async def _type(terminal: Terminal, page: Path, values: Values) -> int:
    """Type the page's commands; how many there were."""
    count = 0
    for words in commands(page):
        if listed(words) is not None:
            continue
        given = await values(words)
        typed = [given.get(word, word) for word in words]
        code, said = await terminal.run(typed)
        until = time.monotonic() + _PATIENCE_S
        while code != 0 and _BUSY in said and time.monotonic() < until:
            await asyncio.sleep(0.2)  # as it asks for
            code, said = await terminal.run(typed)
        line = line_of(words)
        promised = max((each for each in SAYS if line.startswith(each)), key=len, default=None)
        fits = promised is None or "--help" in words or re.search(SAYS[promised], said)
        assert code == 0, f"{name_of(page)}: {line}\nended with {code}:\n{said}"
        assert fits, f"{name_of(page)}: {line}\nsaid no {promised} but:\n{said}"
        count += 1
    return count


def _read_beside_a_node() -> list[Path]:
    apart = {*PAYMENTS, *RESTORE, *SIMULATION}
    return [
        page
        for page in PAGES
        if name_of(page) not in apart and any(listed(words) is None for words in commands(page))
    ]


# What the databases do differently is tested beside each command; here every second counts.
_ON_BOTH = pytest.mark.parametrize(
    "databases", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)

# The first of these change what others look at.
_LAST: Final = ("stuck-order", "psp-down", "open-case", "float-drift")


async def _held(world: World, fault: BankFault) -> str:
    order_id = await world.offer(bank_faults=[fault], times=None)
    await world.reaches(order_id, State.HELD, 60)
    return order_id


async def _case(world: World, kind: str) -> str:
    """The id of the open case once there is one."""

    async def found() -> bool:
        return bool(await world.rows(cases, cases.c.kind == kind))

    await world.until(found, 60, kind)
    return str((await world.rows(cases, cases.c.kind == kind))[-1]["id"])


@_ON_BOTH
async def test_beside_a_node_that_pays_out(
    open_world: OpenWorld, open_terminal: OpenTerminal
) -> None:
    """A node works between its companies; an order is fulfilled, three are held for the reasons
    that a runbook resolves, then the PSP refuses us and money leaves the float: each command ends
    with 0 and says what its page says."""
    world = await open_world(env={"COOL_OFF": "0.5", "PSP_REST": "0.5"})
    await world.local()
    await world.reaches(await world.offer(), State.FULFILLED, 60)
    resumed, unpaid = await asyncio.gather(
        _held(world, BankFault.DECLINED), _held(world, BankFault.DECLINED)
    )
    world.heal()  # the next transfer of the one that is resumed arrives
    for order_id in (resumed, unpaid):
        (one,) = await world.attempts(order_id)
        world.bank.decide(one["reference"], Status.FAILED, "The moon was in the wrong quarter")
    shown = await _held(world, BankFault.LOOKUP_OTHER_AMOUNT)
    (one,) = await world.attempts(shown)
    psp_id = world.bank.transfers[one["reference"]].id
    refused = [""]

    async def values(words: list[str]) -> Mapping[str, str]:
        order = {"resumed": resumed, "unpaid": unpaid}
        ruling = words[words.index("--as") + 1] if "--as" in words else ""
        if ruling == "unpaid":  # money that is on its way hides what came back
            await world.reaches(resumed, State.FULFILLED, 60)
        return {"ORDER_ID": order.get(ruling, shown), "PSP_ID": psp_id, "ID": refused[0]}

    async def trouble(page: Path) -> None:
        if page.stem == "psp-down":
            await world.offer(bank_faults=[BankFault.ACCOUNT_RESTRICTED])
            refused[0] = await _case(world, "psp_refuses_us")
        if page.stem == "float-drift":
            world.bank.withdraw(Decimal(1_000_000))
            await _case(world, "float_shortfall")

    terminal = open_terminal(world.environment())
    pages = _read_beside_a_node()
    assert len(pages) >= 9
    for page in sorted(pages, key=lambda page: page.stem in _LAST and _LAST.index(page.stem) + 1):
        await trouble(page)
        assert await _type(terminal, page, values) > 0
    await world.reaches(shown, State.FULFILLED, 60)
    assert world.bank.books.paid_more_than_once() == []


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_over_card_payments(open_world: OpenWorld, open_terminal: OpenTerminal) -> None:
    """Over a database with orders, payments, disputes and deliveries, beside a process that
    answers, between companies that do."""
    world = await open_world()
    for fill_one in (fill, fill_payments):
        database = open_database(parse(world.url), SystemClock())
        await fill_one(database)
        await database.close()
    cards = SandboxCards(SystemClock(), api_key=STRIPE_KEY, webhook_secret=WEBHOOK_SECRET)
    await cards.start("127.0.0.1", 0)
    env = world.environment(
        STRIPE_API_KEY=STRIPE_KEY,
        STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET,
        STRIPE_API_BASE=cards.base_url,
    )
    terminal = open_terminal(env)
    shutil.copy(ROOT / ".env.example", terminal.directory)

    async def values(words: list[str]) -> Mapping[str, str]:
        return {
            "PAYMENT_ID": MISSING if "resolve" in words else UNKNOWN,
            "ENDPOINT_ID": "we_1",
            "DELIVERY_ID": "dlv_1",
            "ORDER_ID": DECLINED if "erase" in words else HELD,
            "ID": "1",
            "ACCOUNT": "psp:lenco:available:NGN",
            "FILE": "one.backup",
        }

    try:
        async with ops(world.url, env=env) as process:
            await process.log_in("ada@example.com")
            for page in PAYMENTS:
                assert await _type(terminal, ROOT / page, values) > 3
    finally:
        await cards.stop()


@_ON_BOTH
async def test_after_the_database_was_lost(
    open_world: OpenWorld, open_terminal: OpenTerminal, databases: Databases
) -> None:
    """Backed up while the node works, restored after more orders, and back at work: nothing is
    paid twice, and what the copy did not know is in the books again."""
    env = {"NOT_FOUND_WINDOW": "1", "COOL_OFF": "1", "POSTGRESQL_PROGRAMS": postgresql_programs()}
    world = await open_world(env=env)
    node = await world.local()
    terminal = open_terminal(world.environment())
    target = databases.empty()
    known = await world.offer()
    await world.reaches(known, State.FULFILLED, 60)
    lost: list[str] = []

    async def values(words: list[str]) -> Mapping[str, str]:
        nonlocal node
        if "--into" in words:  # the minutes that the copy does not know, and its end
            lost.append(await world.offer())
            await world.reaches(lost[0], State.FULFILLED, 60)
            await node.stop()
        if words[1:3] == ["quarantine", "check"]:
            world.url = target
            await world.reconnect()
            node = await world.idle(works=True)
            terminal.set("DATABASE_URL", target)
        return {"sqlite:///restored.db": target}

    (page,) = RESTORE
    assert await _type(terminal, ROOT / page, values) == 5
    today = await world.offer()
    await world.reaches(today, State.FULFILLED, 60)
    for order_id in (known, lost[0], today):
        assert len([one for one in await _paid(world, order_id) if one]) == 1, order_id


async def _paid(world: World, order_id: str) -> list[int]:
    """How often the bank paid each attempt of the order."""
    reference = (await world.payout(order_id))["reference"]
    return [world.bank.times_paid(f"{reference}-{number:02d}") for number in range(1, 6)]


@pytest.mark.long
@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
@pytest.mark.parametrize("open_terminal", ["shell"], indirect=True)
async def test_of_the_simulation(open_terminal: OpenTerminal, databases: Any) -> None:
    """The seed that the page for auditors names holds, and has the parts that it names."""

    async def values(_: list[str]) -> Mapping[str, str]:
        return {}

    (page,) = SIMULATION
    assert await _type(open_terminal({}), ROOT / page, values) == 3
