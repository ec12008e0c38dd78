"""Webhooks in any order and more than once lead to the same state and the same books.

Nothing else may: look-ups are an hour apart here, and the list of events is not read.
"""

from __future__ import annotations

import pytest

from tests.acceptance.processor import world as worlds
from tests.acceptance.processor.playing import ends_as, play, play_in_order
from tests.acceptance.processor.scenarios import ENDS, STORIES
from tests.acceptance.processor.world import PaymentWorld, seeded

DATABASES = ("sqlite", "postgresql")
WORLD = {"PAYMENT_LOOKUP_SCHEDULE": "3600", "PROCESSOR_EVENTS_INTERVAL": "3600"}
world = worlds.world

RUNS = 3


@pytest.mark.parametrize("name", STORIES)
def test_any_order_and_twice_is_the_same_as_in_order(world: PaymentWorld, name: str) -> None:
    """The same payment, the same refunds, the same balance of every account, the same cases."""
    chance = seeded()
    shopper = world.shopper()
    expected = play_in_order(world, shopper, STORIES[name])
    assert expected.end == ENDS[name]
    for _ in range(RUNS):
        ends_as(play(world, shopper, STORIES[name], chance), expected)
    world.assert_books(shopper)


def test_the_ledger_proves_itself(world: PaymentWorld) -> None:
    """After all that news the audit finds nothing."""
    world.assert_audit()
