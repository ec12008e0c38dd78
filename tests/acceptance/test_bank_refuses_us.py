"""The bank refuses the node itself: nobody else is blamed, and no more is promised (psp.md 3.5)."""

from __future__ import annotations

from tests.acceptance.counterparty.script import say
from tests.acceptance.counterparty.world import World


def test_3_5_a_refusal_that_is_our_fault_cancels_without_blaming_the_recipient(
    world: World,
) -> None:
    """401 at the POST: nothing was created, one cancel, a case, and the next offer is declined."""
    order = world.order()
    refusal = {"status": False, "message": "Unauthorized", "data": []}
    world.bank.scripts.add("transfer", order.account, say(401, refusal))
    world.offer(order)
    world.wait_status(order, "cancelled")
    assert len(order.reasons) == 1
    assert order.reasons[0] != "Invalid recipient bank details"
    assert len(world.bank.posts_to(order.account)) == 1
    assert world.rows("SELECT kind FROM cases")
    following = world.order()
    world.offer(following)
    world.wait(following, "decline")
    assert following.verbs() == ["decline"]
    assert not world.bank.posts_to(following.account)
