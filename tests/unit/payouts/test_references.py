"""References: deterministic, distinct, and valid at every PSP (psp.md 3.8)."""

from __future__ import annotations

import re
import uuid

import pytest

from tidegate.errors import NotInTable
from tidegate.payouts.references import attempt_reference, order_reference, transaction_id

ORDER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
VALID = re.compile(r"^[a-z0-9][a-z0-9-]{14,26}[a-z0-9]$")


def test_a_reference_is_the_same_each_time() -> None:
    """A crash between writing and sending computes the same reference again."""
    one = attempt_reference(order_reference("production", "node-1", ORDER), 1)
    assert one == attempt_reference(order_reference("production", "node-1", ORDER), 1)
    # Pinned: another value would send orders that are under way a second time.
    assert one == "tg-2df5djwjm36755tgq6xs5p-01"


def test_a_reference_fits_every_psp() -> None:
    """28 characters of the intersection of what the PSPs allow."""
    for number in (1, 10, 99):
        made = attempt_reference(order_reference("sandbox", "n", str(uuid.uuid4())), number)
        assert VALID.fullmatch(made), made
        assert len(made) == 28


def test_environment_node_and_order_each_change_it() -> None:
    """Sandbox and live, two nodes, and two orders never share a reference."""
    made = {
        order_reference("production", "node-1", ORDER),
        order_reference("sandbox", "node-1", ORDER),
        order_reference("production", "node-2", ORDER),
        order_reference("production", "node-1", str(uuid.uuid4())),
    }
    assert len(made) == 4


@pytest.mark.parametrize("number", [0, -1, 100])
def test_a_payout_has_at_most_99_attempts(number: int) -> None:
    """A third digit would be another format, and that many attempts are a fault anyway."""
    with pytest.raises(NotInTable):
        attempt_reference("tg-x", number)


def test_the_transaction_id_is_one_a_round() -> None:
    """The aggregator's key is global and stable for the round (aggregator.md 4.3)."""
    assert transaction_id("tg-abc", 1) == "tg-abc"
    assert transaction_id("tg-abc", 2) == "tg-abc-r2"
