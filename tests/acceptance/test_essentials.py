"""A transfer whose outcome is not known, on both databases (psp.md 3.2-3.6).

Whatever the bank's answers do, each recipient is paid at most once, and the aggregator hears
what is true: the doubles compare every report with the bank's books.
"""

from __future__ import annotations

import time
from typing import Any

from tests.acceptance.counterparty.node import LENCO_TIMEOUT_S
from tests.acceptance.counterparty.orders import Order
from tests.acceptance.counterparty.script import (
    Step,
    drop_after,
    drop_before,
    meanwhile,
    say,
    slowly,
)
from tests.acceptance.counterparty.world import World

DATABASES = ("sqlite", "postgresql")

NOT_FOUND = {"status": False, "message": "Transaction was not found", "data": []}
DUPLICATE = {"status": False, "message": "Duplicate client reference", "data": []}


def _offered(world: World, *plan: str, steps: tuple[Step, ...] = (), **more: Any) -> Order:
    """An order on its way whose transfer goes as planned and scripted."""
    order = world.order()
    if plan:
        world.bank.plan(order.account, *plan, **more)
    world.bank.scripts.add("transfer", order.account, *steps)
    world.offer(order)
    return order


def test_3_3_an_unclear_answer_is_looked_up_and_never_sent_again(world: World) -> None:
    """The transfers were created all the same: found by our reference, paid once, reported."""
    server_error = {"status": False, "message": "Server error", "data": []}
    answers = (
        drop_after(),
        say(500, server_error, act=True),
        say(502, b"<html><h1>502 Bad Gateway</h1></html>", act=True),
        say(200, {"status": False, "message": "", "data": []}, act=True),
        say(200, b"<html>maintenance</html>", act=True),
        say(200, {"status": True, "message": "", "data": None}, act=True),
        say(429, {"status": False, "message": "Too many requests", "data": []}, act=True),
        slowly(LENCO_TIMEOUT_S + 0.3),
    )
    # Few at a time: after too many in a row a node may rest the PSP and take no new orders.
    for few in (answers[:3], answers[3:6], answers[6:]):
        orders = [_offered(world, "pending", "successful", steps=(each,)) for each in few]
        for order in orders:
            world.settled(order)
            assert len(world.bank.posts_to(order.account)) == 1, world.story(order)
            assert world.bank.lookups_of(order.account) >= 1
            assert order.reports()[-1] == "success"


def test_3_4_not_found_thrice_over_the_window_sends_the_same_bytes_once(world: World) -> None:
    """The POST never arrived; after three answers over the window the stored bytes go again."""
    sent_after: list[int] = []
    order = world.order()
    world.bank.scripts.add(
        "transfer",
        order.account,
        drop_before(),
        Step(hook=lambda: sent_after.append(world.bank.lookups_of(order.account))),
    )
    began = time.monotonic()
    world.offer(order)
    world.settled(order)
    first, second = world.bank.posts_to(order.account)
    assert first == second
    assert sent_after[0] >= 3
    assert time.monotonic() - began >= 1.5


def test_1_1_a_duplicate_reference_is_adopted_not_refused(world: World) -> None:
    """The bank knows the reference and says so at the POST: looked up, found, paid once."""
    errors = {"x": {"errorCode": "04", "errorMessage": "Duplicate client reference"}}
    for refusal in (DUPLICATE, {**DUPLICATE, "errorCode": "04", "errors": errors}):
        order = _offered(world, "pending", "successful", steps=(say(400, refusal, act=True),))
        world.settled(order)
        assert len(world.bank.posts_to(order.account)) == 1
        assert "cancel" not in order.verbs()


def test_3_4_a_late_bank_answers_the_second_post_with_duplicate_and_is_adopted(
    world: World,
) -> None:
    """Not found for a while although it exists; the same bytes again; duplicate; paid once."""
    order = world.order()
    world.bank.plan(order.account, "pending", "successful")
    world.bank.scripts.add("transfer", order.account, drop_after())
    world.bank.scripts.add("lookup", order.account, *[say(400, NOT_FOUND)] * 20)
    posts = world.bank.posts_to

    def bank_catches_up() -> None:
        world.bank.scripts.clear("lookup", order.account)

    world.bank.scripts.add("transfer", order.account, meanwhile(bank_catches_up))
    world.offer(order)
    world.settled(order)
    first, second = posts(order.account)
    assert first == second


def test_3_4_a_look_up_that_fails_is_not_not_found(world: World) -> None:
    """While the bank cannot be asked nothing is sent again and nothing reported as failed."""
    orders = []
    for status, times in ((500, 3), (502, 3), (401, 1)):
        order = world.order()
        world.bank.scripts.add("transfer", order.account, drop_after())
        world.bank.scripts.add("lookup", order.account, *[say(status, b"<html>")] * times)
        world.offer(order)
        orders.append(order)
    for order in orders:
        world.settled(order)
        assert len(world.bank.posts_to(order.account)) == 1, world.story(order)
        assert order.reports()[-1] == "success"


def test_3_6_an_ambiguous_failure_that_turns_into_success_is_paid_once(world: World) -> None:
    """ "Timeout waiting" is no failure yet: within the cool-off the bank finds it was paid."""
    order = _offered(
        world,
        "failed",
        "failed",
        "successful",
        reason="Timeout waiting for response from destination bank",
    )
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1
    assert "failed" not in order.reports()


def test_3_6_an_ambiguous_failure_is_believed_only_after_the_cool_off(world: World) -> None:
    """Still failed after it, the debit back: reported as failed, never earlier, nothing re-sent."""
    began = time.monotonic()
    order = _offered(world, "failed", reason="System Malfunction")
    world.wait_state(order, "failed", "held")
    assert time.monotonic() - began >= 1.5
    assert world.state(order) == "failed", world.story(order)
    world.wait(order, "fulfill", 2)
    assert order.reports() == ["pending", "failed"]
    assert len(world.bank.posts_to(order.account)) == 1


def test_3_5_a_failure_of_the_recipient_is_reported_failed_with_its_reason(world: World) -> None:
    """A transfer was created, so it is fulfil(failed) and no cancel."""
    order = _offered(world, "pending", "failed", reason="Account closed")
    world.wait_state(order, "failed")
    bodies = world.wait(order, "fulfill", 2)
    assert order.reports() == ["pending", "failed"]
    assert bodies[-1]["validationError"]
    assert "cancel" not in order.verbs()
    assert len(world.bank.posts_to(order.account)) == 1


def test_3_3_refused_before_creation_is_cancelled_once_and_never_fulfilled(world: World) -> None:
    """Code 05 with nothing reported yet: one cancel with the recipient's reason (4.4)."""
    refusal = {"status": False, "message": "Invalid account", "data": [], "errorCode": "05"}
    order = _offered(world, steps=(say(400, refusal),))
    world.wait_status(order, "cancelled")
    time.sleep(0.4)
    assert order.reasons == ["Invalid recipient bank details"]
    assert order.verbs() == ["accept", "cancel"]
    assert len(world.bank.posts_to(order.account)) == 1


def test_1_2_declined_is_held_for_a_person_and_told_as_pending(world: World) -> None:
    """Lenco never explains "declined": no new attempt, no failure, a case."""
    order = _offered(world, "pending", "declined")
    world.wait_state(order, "held")
    assert world.wait_case(order)
    time.sleep(0.6)
    assert "failed" not in order.reports()
    assert "cancel" not in order.verbs()
    assert len(world.bank.posts_to(order.account)) == 1
    for shape in (1, 2, 3):
        told = world.aggregator.ask_status(order, shape)
        assert (told.status, told.json["data"]["status"]) == (200, "pending")
    world.bank.settle(order.account, "failed")


def test_3_4_an_amount_that_does_not_match_is_held_and_never_reported_as_success(
    world: World,
) -> None:
    """The bank says successful, of another amount: a person looks."""
    order = _offered(world, "pending", "successful", told_amount="75.38")
    world.wait_state(order, "held")
    assert world.wait_case(order)
    time.sleep(0.3)
    assert "success" not in order.reports()
    assert len(world.bank.posts_to(order.account)) == 1


def test_1_4_a_webhook_that_overtakes_our_commit_is_not_lost(world: World) -> None:
    """The event arrives before the answer of the POST: known, read, paid once."""
    order = world.order()
    world.bank.plan(order.account, "pending")
    told: list[int] = []

    def overtake() -> None:
        transfer = world.bank.settle(order.account, "successful")
        told.append(world.bank.tell(world.bank.event(transfer)).status)

    world.bank.scripts.add("transfer", order.account, meanwhile(overtake, drop_after()))
    world.offer(order)
    world.settled(order)
    assert told == [200]
    assert len(world.bank.posts_to(order.account)) == 1


def test_1_4_duplicate_late_and_reordered_webhooks_change_nothing(world: World) -> None:
    """Five times success, then an older failure: one success is reported and it stays."""
    order = _offered(world, "pending")
    world.wait(order, "fulfill")
    transfer = world.bank.settle(order.account, "successful")
    body = world.bank.event(transfer)
    late = world.bank.event(transfer, "failed")
    for path in ("", "/lenco", "", "/lenco", ""):
        assert world.bank.tell(body, path=path).status == 200
    world.settled(order)
    assert world.bank.tell(late).status == 200
    assert world.bank.tell(body).status == 200
    time.sleep(0.4)
    assert order.reports() == ["pending", "success"]
    assert world.state(order) == "fulfilled"


def test_1_4_a_signed_webhook_is_a_prompt_and_not_the_last_word(world: World) -> None:
    """The event says successful, the look-up says pending: nothing is reported."""
    order = _offered(world, "pending")
    world.wait(order, "fulfill")
    transfer = world.bank.to(order.account)[0]
    before = world.bank.lookups_of(order.account)
    assert world.bank.tell(world.bank.event(transfer, "successful")).status == 200
    while world.bank.lookups_of(order.account) == before:
        time.sleep(0.02)
    time.sleep(0.3)
    assert order.reports() == ["pending"]
    world.pay(order)
    world.settled(order)


def test_1_4_a_forged_webhook_is_refused_and_changes_nothing(world: World) -> None:
    """Wrong, missing, re-serialised: none of them is believed or asks the bank anything."""
    order = _offered(world, "pending")
    world.wait(order, "fulfill")
    transfer = world.bank.to(order.account)[0]
    body = world.bank.event(transfer, "successful")
    for signature in ("0" * 128, "", "ü", "not hex"):
        answer = world.bank.tell(body, signature.encode("utf-8").decode("latin-1"))
        assert answer.status == 401, (signature, answer.status)
    assert order.reports() == ["pending"]
    world.pay(order)
    world.settled(order)


def test_1_4_a_webhook_of_somebody_elses_transfer_is_taken_and_ignored(world: World) -> None:
    """Signed, but of a reference we never made, of incoming money, of no known event: 200."""
    for body in (
        b'{"event":"transaction.successful","data":{"id":"x","type":"debit","status":"successful",'
        b'"clientReference":"somebody-elses","amount":"1.00"}}',
        b'{"event":"transaction.credit","data":{"id":"y","type":"credit","amount":"5.00"}}',
        b'{"event":"account.balance-updated","data":{}}',
        b'{"event":"never.heard-of","data":null}',
    ):
        assert world.bank.tell(body).status == 200


def test_the_books_of_node_and_bank_agree_but_for_what_is_held(world: World) -> None:
    """The node's available float is never more than what the bank has."""
    available = world.available()
    assert available is not None
    assert available <= world.bank.balance
