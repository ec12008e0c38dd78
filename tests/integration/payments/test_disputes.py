"""Disputes beyond won and lost: appeals, prevented ones, and words that nobody knows yet."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.payments.world import World
from tidegate.payments.dispute import dispute_row
from tidegate.sandbox.faults import CardFault as F


async def _disputed(world: World) -> Any:
    """The processor's dispute about a payment of 10.00 EUR, heard of and not looked at yet."""
    payment = str((await world.pay()).body["id"])
    await world.pass_time(30)
    await world.look(payment)
    dispute = world.processor.dispute(payment)
    await world.hear()
    return dispute


def _row(dispute: Any) -> str:
    return dispute_row("stripe", dispute.id)


@pytest.mark.parametrize("word", ["appeal_needs_response", "appeal_under_review"])
async def test_a_loss_that_is_fought_is_looked_at_until_it_is_decided(
    world: World, word: str
) -> None:
    """An appeal moves no money: it stays lost, and is given back once when it is won."""
    dispute = await _disputed(world)
    world.processor.close_dispute(dispute.id, won=False)
    lost = await world.look(_row(dispute))
    books = await world.books()
    assert (lost["state"], lost["due_at"]) == ("lost", None)
    dispute.status = word
    fought = await world.look(_row(dispute))
    assert fought["state"] == "lost"
    assert fought["due_at"] is not None, "its event may be lost"
    assert await world.books() == books
    dispute.status = "lost"
    assert (await world.look(_row(dispute)))["due_at"] is None
    assert await world.books() == books
    dispute.status = word
    await world.look(_row(dispute))
    world.processor.close_dispute(dispute.id, won=True)
    assert (await world.look(_row(dispute)))["state"] == "won"
    after = await world.books()
    assert sum(after.values()) == sum(books.values()) + 2 * 1000
    assert not any(path.startswith("payments:disputed") for path in after)


async def test_an_appeal_that_is_the_first_we_hear_of_is_an_open_dispute(world: World) -> None:
    """What it took is booked, and a person is told."""
    dispute = await _disputed(world)
    dispute.status = "appeal_under_review"
    assert (await world.look(_row(dispute)))["state"] == "open"
    assert (await world.books())["payments:disputed:EUR"] == 1000
    assert "payment_disputed" in await world.cases()


async def test_a_dispute_that_was_prevented_is_closed(world: World) -> None:
    """Nobody needs to answer it; but the processor of this test has taken the money, and that is
    neither forgotten nor held against the user."""
    dispute = await _disputed(world)
    dispute.status = "prevented"
    row = await world.look(_row(dispute))
    assert (row["state"], row["due_at"]) == ("closed", None)
    assert await world.cases() == {"dispute_closed_short"}
    assert (await world.books())["payments:disputed:EUR"] == 1000


async def test_a_status_that_nobody_knows_is_shown_to_a_person_after_a_day(world: World) -> None:
    """Not at once: it is asked for further, and booked as soon as it can be read."""
    dispute = await _disputed(world)
    dispute.status = "a_word_of_next_year"
    assert (await world.look(_row(dispute)))["due_at"] is not None
    await world.pass_time(86_400)
    await world.look(_row(dispute), tries=3)
    assert await world.cases() == set()
    row = await world.look(_row(dispute), tries=24)
    assert row["due_at"] is not None
    assert await world.cases() == {"dispute_unread"}
    dispute.status = "needs_response"
    assert (await world.look(_row(dispute)))["state"] == "open"


async def test_one_silent_moment_about_an_old_dispute_is_no_case(world: World) -> None:
    """It has been open for weeks, and the processor does not answer once."""
    dispute = await _disputed(world)
    await world.look(_row(dispute))
    await world.pass_time(20 * 86_400)
    before = await world.cases()
    world.processor.faults.plan.set("lookup", F.LOOKUP_500)
    await world.look(_row(dispute))
    assert await world.cases() == before
