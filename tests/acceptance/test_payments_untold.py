"""Webhooks that are lost, some or all, change nothing: looking finds what was not told."""

from __future__ import annotations

import pytest

from tests.acceptance.processor import world as worlds
from tests.acceptance.processor.playing import ends_as, play, play_in_order
from tests.acceptance.processor.scenarios import ENDS, STORIES
from tests.acceptance.processor.world import PaymentWorld, seeded

DATABASES = ("sqlite", "postgresql")
WORLD = {"PAYMENT_LOOKUP_SCHEDULE": "1,1,1", "PROCESSOR_EVENTS_INTERVAL": "1"}
world = worlds.world


@pytest.mark.parametrize("name", STORIES)
def test_untold_is_the_same_as_told(world: PaymentWorld, name: str) -> None:
    """A third of the events told, then none at all: the same end as all of them in order."""
    chance = seeded()
    shopper = world.shopper()
    expected = play_in_order(world, shopper, STORIES[name])
    assert expected.end == ENDS[name]
    for told in (0.3, 0.0):
        ends_as(play(world, shopper, STORIES[name], chance, told=told), expected)
    world.assert_books(shopper)


def test_the_ledger_proves_itself(world: PaymentWorld) -> None:
    """After all that silence the audit finds nothing."""
    world.assert_audit()
