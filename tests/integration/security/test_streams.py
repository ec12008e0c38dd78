"""A stream and the session that opened it: what happens after its end is not told any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from tests.integration.api.ops_world import Ops, ops, prepare
from tests.support.databases import Prepare
from tidegate.payments.tables import payment_events, payments
from tidegate.users.tables import users

EMAIL = "stream@example.com"


@pytest.fixture
async def node(
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> AsyncIterator[Ops]:
    async with ops(make_template("api_ops", prepare)()) as made:
        yield made


async def test_an_event_after_the_log_out_is_not_told(node: Ops) -> None:
    """The stream ends with it, at once, not with the next sign of life a quarter minute later."""
    token = await node.log_in(EMAIL)
    last = await node.database.write(give_away)
    async with (
        asyncio.timeout(25),
        node.session.get(
            f"/api/payments/{last['payment_id']}/stream",
            headers={"Authorization": f"Bearer {token}"},
        ) as stream,
    ):
        told = b""
        while last["id"].encode() not in told:
            told += await stream.content.readany()
        assert (await node.ask("POST", "/api/auth/logout-all", token=token))[0] == 204
        await node.database.write(lambda c: _happens(c, last))
        rest = await stream.read()
    assert b"evt_after" not in rest


def give_away(connection: Connection) -> dict[str, Any]:
    """Make a payment with events the user's; answers its last event."""
    found = select(payment_events).order_by(payment_events.c.seq.desc()).limit(1)
    last = dict(connection.execute(found).mappings().one())
    owner = select(users.c.id).where(users.c.email == EMAIL).scalar_subquery()
    mine = payments.c.id == last["payment_id"]
    connection.execute(update(payments).where(mine).values(user_id=owner))
    return last


def _happens(connection: Connection, last: dict[str, Any]) -> None:
    after = {**last, "id": "evt_after", "seq": last["seq"] + 1}
    connection.execute(insert(payment_events).values(after))
