"""The demonstration's payments: a shop, its receiver, and a proof that notices a lie."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tidegate.cli.demo_check import Check
from tidegate.cli.demo_proof_payments import TillEvidence, prove_payments
from tidegate.cli.demo_screen import LiveScreen
from tidegate.cli.demo_world import World
from tidegate.clock import SystemClock
from tidegate.sandbox.cards import Kind, Line
from tidegate.sandbox.scenario import make_scenario
from tidegate.sandbox.shop import SALES

_WAIT_S = 180.0
_CHARGED = "At the processor each payment was charged at most once, and as much as we captured"
_REFUNDED = "Refunds never exceed what was captured, and agree with the processor"
_ENDED = "Each sale came to the end that it must have"
_ADDED_UP = "Each user's payments add up to the ledger account"
_TOLD = "The shop was told every event, signed and in order"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Everybody, one order, and every sale with every fault."""
    scenario = make_scenario(SystemClock(), seed=1, orders=1, window_s=0.2, troubles=())
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    made = World(SystemClock(), scenario, tmp_path, url, port=0, sales=SALES)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def _evidence(world: World) -> TillEvidence:
    await world.clerk.look()
    return TillEvidence(
        sold=world.clerk.sold,
        till=await world.till(),
        books=await world.books(),
        cards=world.cards.books,
        receiver=world.shop.receiver,
        endpoints={buyer.id: name for name, buyer in world.clerk.buyers.items()},
    )


def _broken(evidence: TillEvidence) -> set[str]:
    return {check.name for check in prove_payments(evidence) if not check.ok}


def _said(check: Check) -> str:
    return f"{check.ok} {check.name}: {check.figures} {list(check.lines)}"


async def _settled(world: World) -> TillEvidence:
    """The evidence once every fee, refund and webhook has arrived; every check holds then."""
    clock = SystemClock()
    until = clock.monotonic() + _WAIT_S
    while True:
        evidence = await _evidence(world)
        if not _broken(evidence) and not evidence.till.moving:
            return evidence
        assert clock.monotonic() < until, [_said(check) for check in prove_payments(evidence)]
        await clock.sleep(0.2)


async def test_every_sale_ends_as_it_must_and_the_proof_notices_every_lie(world: World) -> None:
    """Declines, 3-D Secure, lost answers, refunds and disputes end as planned; whatever one side's
    books say differently breaks the check that compares them."""
    await world.play()
    evidence = await _settled(world)
    assert [sold.trouble for sold in evidence.sold] == [""] * len(SALES)
    assert sum(sold.unknown for sold in evidence.sold) > 0
    assert evidence.receiver.turned_away == len(evidence.endpoints)

    first = evidence.till.payments[0]
    currency = first["currency"].lower()
    books = world.cards.books
    books.write(Line(0, Kind.REFUNDED, first["id"], "re_made_up", 1, currency))
    assert _broken(await _evidence(world)) == {_REFUNDED}
    books.write(Line(0, Kind.REFUND_RETURNED, first["id"], "re_made_up", 1, currency))
    books.write(Line(0, Kind.CHARGED, "pay_unknown", "ch_made_up", 1, currency))
    assert _broken(await _evidence(world)) == {_CHARGED}
    books.lines.pop()

    sold = evidence.sold[0]
    kept, sold.sale = sold.sale, replace(sold.sale, end="canceled")
    assert _broken(await _evidence(world)) == {_ENDED}
    sold.sale = kept

    rows = [{**first, "amount_captured": first["amount_captured"] + 1}, *evidence.till.payments[1:]]
    more = replace(evidence, till=replace(evidence.till, payments=rows))
    assert _broken(more) == {_CHARGED, _ADDED_UP}

    arrived = world.shop.receiver.arrived["ada"]
    lost = arrived.pop()
    assert _broken(await _evidence(world)) == {_TOLD}
    arrived.append(lost)
    _show_live(evidence)


def _show_live(evidence: TillEvidence) -> None:
    """A terminal sees each payment's end and what happened to it."""
    terminal = io.StringIO()
    out = Console(file=terminal, force_terminal=True, width=140, height=60)
    with LiveScreen(out) as screen:
        screen.show(3.0, (), [("at the bank", "4999.00")], evidence.sold, 48)
    shown = terminal.getvalue()
    assert "16 of 16 payments" in shown
    assert "48 told" in shown
    assert evidence.sold[-1].id[-8:] in shown
