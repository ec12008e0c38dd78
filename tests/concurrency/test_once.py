"""What everybody brings at the same moment is there once, and one of them is told so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Table, select

from tests.concurrency.crowd import PROCESSES, TASKS, Crowd
from tests.concurrency.desk import Desk
from tests.support.databases import Prepare
from tests.support.node import environment, migrate
from tidegate.db.idempotency import idempotency_keys
from tidegate.db.inbox import inbox
from tidegate.payouts.meaning import Meaning
from tidegate.payouts.tables import offers, payouts

EVERYBODY = PROCESSES * TASKS
ROUNDS = 25
NOWHERE = "http://127.0.0.1:9"

Bring = Callable[..., Any]


@pytest.fixture
def fresh(make_template: Callable[[str, Prepare], Callable[[], str]]) -> Callable[[], str]:
    """Gives the URL of a fresh migrated database."""
    return make_template("node", migrate)


async def test_sixty_four_offers_of_one_order_are_one_payout(
    crowd: Crowd, fresh: Callable[[], str]
) -> None:
    """With 64 amounts: the order is what the first offer says, the others contradict it, and
    every one is kept."""
    told, rows = await _bring(crowd, fresh(), "offer", payouts, offers)
    (payout,) = rows[payouts.name]

    assert Counter(meaning for meaning, _ in told) == {
        Meaning.NEW: 1,
        Meaning.CONFLICT: EVERYBODY - 1,
    }
    assert [payout["amount_text"]] == [amount for meaning, amount in told if meaning == Meaning.NEW]
    kept = Counter(row["meaning"] for row in rows[offers.name])
    assert kept == {Meaning.NEW: 1, Meaning.CONFLICT: EVERYBODY - 1}


@pytest.mark.parametrize(("what", "source"), [("webhook", "lenco"), ("event", "stripe")])
async def test_sixty_four_deliveries_of_one_event_are_one_row(
    crowd: Crowd, fresh: Callable[[], str], what: str, source: str
) -> None:
    """One is kept; the others are known; all of them can be acknowledged."""
    told, rows = await _bring(crowd, fresh(), what, inbox)
    (row,) = rows[inbox.name]

    assert Counter(told) == {True: 1, False: EVERYBODY - 1}
    assert (row["source"], row["state"], row["kind"]) == (source, "kept", f"read:{source}")


async def test_sixty_four_requests_with_one_key_take_it_once(
    crowd: Crowd, fresh: Callable[[], str]
) -> None:
    """It stands for what the first one wants; the others are refused, not failed."""
    await _keys(crowd, fresh(), seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_keys_again(crowd: Crowd, fresh: Callable[[], str], seed: int) -> None:
    """On one database after the other."""
    await _keys(crowd, fresh(), seed=seed)


async def _keys(crowd: Crowd, url: str, seed: int) -> None:
    told, rows = await _bring(crowd, url, "key", idempotency_keys, seed=seed)
    (row,) = rows[idempotency_keys.name]
    assert [subject for subject in told if subject is not None] == [row["subject"]]


async def _bring(
    crowd: Crowd, url: str, what: str, *tables: Table, seed: int = 1
) -> tuple[list[Any], dict[str, list[Any]]]:
    """Let everybody bring it; what they were told, and the rows of these tables."""
    env = environment(
        url,
        aggregator=NOWHERE,
        client_id="00000000-0000-4000-8000-000000000001",
        secret="c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMyYg==",
        bank=NOWHERE,
        token="tok-lenco-sandbox-0123456789",
        account_id="00000000-0000-4000-8000-000000000002",
    )
    told = await crowd.play("once", url, seed=seed, env=env, what=what)
    desk = Desk(url)
    try:
        rows = await desk.database.read(
            lambda c: {
                table.name: [dict(row) for row in c.execute(select(table)).mappings()]
                for table in tables
            }
        )
    finally:
        await desk.close()
    return told, rows
