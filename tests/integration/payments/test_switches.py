"""Kill switches of payments: nothing new begins, and what is there goes on."""

from __future__ import annotations

import pytest

from tests.integration.payments.world import World
from tidegate.cases.switch import SwitchKind
from tidegate.cases.switches import switch_off, switch_on
from tidegate.errors import PaymentsOff
from tidegate.payments import tables

WHO = {"by": "ada", "origin": "test", "reason": "a test"}


@pytest.mark.parametrize(
    ("kind", "name"), [(SwitchKind.PROCESSOR, "stripe"), (SwitchKind.PAYMENTS, "EUR")]
)
async def test_no_payment_begins_while_it_is_off(world: World, kind: SwitchKind, name: str) -> None:
    """Refused before anything is stored; refunds and captures of earlier payments still work."""
    earlier = str((await world.pay(manual_capture=True)).body["id"])
    await world.committer.commit(switch_off(kind, name, **WHO))
    with pytest.raises(PaymentsOff):
        await world.pay()
    assert len(await world.rows(tables.payments)) == 1
    assert (await world.capture(earlier)).status == 200
    assert (await world.refund(earlier, 100)).status == 201
    await world.committer.commit(switch_on(kind, name, **WHO))
    assert (await world.pay()).status == 201


async def test_other_currencies_are_not_meant(world: World) -> None:
    """A switch stops what it names."""
    await world.committer.commit(switch_off(SwitchKind.PAYMENTS, "EUR", **WHO))
    assert (await world.pay(currency="USD")).status == 201
