"""The name policy, before anything is sent (psp.md 3.10)."""

from __future__ import annotations

import pytest

from tests.integration.payouts.conftest import FULL, QUIET
from tests.integration.payouts.hands import Hands
from tests.support.world import OpenWorld
from tidegate.clock import SimulatedClock
from tidegate.payouts.states import State
from tidegate.sandbox.faults import BankFault


@pytest.mark.parametrize(
    ("faults", "code", "text"),
    [
        ([], "name_mismatch", "another holder"),
        ([BankFault.RECIPIENT_INVALID], "invalid_account", "does not know this account"),
    ],
)
async def test_what_a_strict_check_refuses_it_for(
    open_world: OpenWorld, faults: list[BankFault], code: str, text: str
) -> None:
    """Another holder and no such account are told as what they are; nothing is sent."""
    env = {**FULL, "NAME_CHECK": "strict"}
    world = await open_world(simulated=SimulatedClock(), env=env, terms=QUIET)
    hands = await Hands.open(world)
    order_id = await world.offer(account_name="Somebody Else Altogether", bank_faults=faults)
    await hands.accepted(order_id)

    row = await hands.payout(order_id, "disburse:lenco")

    assert (row["state"], row["fault"], row["held"]) == (State.CANCELLED, "recipient", 0)
    assert row["reason_code"] == code
    assert text in row["reason_text"]
    assert hands.posts == 0
