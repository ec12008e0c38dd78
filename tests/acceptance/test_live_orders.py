"""Orders of the live dialect between offer and report (aggregator.md 3.1, 4, 7).

The node runs as its own process between doubles written from the contracts alone. What they
complain of, and a bank that paid anybody twice, fails the test that was running.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.acceptance.counterparty.orders import Order
from tests.acceptance.counterparty.script import NORMAL, Step, drop_after, drop_before, say, slowly
from tests.acceptance.counterparty.world import World, until

DATABASES = ("sqlite", "postgresql")

RECIPIENT = "Invalid recipient bank details"


def test_happy_path_pays_once_and_reports_pending_then_success(world: World) -> None:
    """Accept tells the recipient, one transfer goes out, one txId of ours is reported (4.1-4.3)."""
    order = world.order()
    world.bank.plan(order.account, "queued", "pending")
    answer = world.offer(order)
    assert answer.took_s < 5, "not after a call of anybody else's"
    assert answer.json["data"] == {"orderId": order.id, "status": "pending"}
    world.wait(order, "fulfill")
    transfer = world.pay(order)
    world.settled(order)
    assert order.verbs() == ["accept", "fulfill", "fulfill"]
    assert order.reports() == ["pending", "success"]
    assert len(world.bank.posts_to(order.account)) == 1
    body = transfer.body
    assert (body["amount"], body["bankCode"]) == ("75375.00", "000014")
    first, second = order.bodies("fulfill")
    assert first["psp"] == "lenco"
    assert first["txId"] == second["txId"] == transfer.reference.removesuffix("-01")
    assert first["txId"] not in (transfer.id, transfer.short_id)
    assert order.id not in transfer.reference


def test_hazard_2_an_offer_repeated_while_in_progress_is_answered_and_changes_nothing(
    world: World,
) -> None:
    """Three repeats get the stored status; there is one accept and one transfer."""
    order = world.order()
    world.bank.plan(order.account, "pending")
    world.offer(order)
    world.wait(order, "fulfill")
    for _ in range(3):
        answer = world.aggregator.repeat_offer(order)
        assert answer.status == 200
        assert answer.json["data"] == {"orderId": order.id, "status": "processing"}
    world.pay(order)
    world.settled(order)
    assert order.verbs().count("accept") == 1
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_2_ten_copies_of_an_offer_at_once_are_one_payout(world: World) -> None:
    """The aggregator calls again within milliseconds (3.1): each is answered, one is accepted."""
    order = world.order()
    world.aggregator.book.offer(order)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: world.aggregator.repeat_offer(order), range(10)))
    assert {answer.status for answer in answers} == {200}
    world.settled(order)
    assert order.verbs().count("accept") == 1
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_13_an_offer_with_other_figures_is_a_conflict_on_record(world: World) -> None:
    """The second figure is kept as a conflict; the first is paid."""
    order = world.order()
    world.bank.plan(order.account, "pending", "successful")
    world.offer(order)
    world.wait(order, "fulfill")
    assert world.aggregator.repeat_offer(order, amount="99999").status == 200
    world.settled(order)
    assert [each.body["amount"] for each in world.bank.to(order.account)] == ["75375.00"]
    meanings = world.rows(
        "SELECT meaning FROM offers WHERE order_id = ? ORDER BY received_at, id", order.id
    )
    assert meanings[-1][0] == "conflict"


def _paid_in_round(world: World, order: Order, round_: int) -> dict[str, str]:
    """Wait for the success of a round and return its last report."""
    bodies = world.wait(order, "fulfill", 2, round_)
    world.settled(order)
    last: dict[str, str] = bodies[-1]
    assert last["validationStatus"] == "success"
    return last


def test_hazard_2_re_offered_after_decline_opens_a_round_with_its_own_figures(
    world: World,
) -> None:
    """More than the float is declined with the reason; the smaller second offer is paid."""
    order = world.order("60000000")
    world.offer(order)
    assert "INSUFFICIENT_BALANCE" in str(world.wait(order, "decline"))
    world.wait_state(order, "declined")
    order.amount = "1200"
    world.offer(order)
    last = _paid_in_round(world, order, 2)
    transfer = world.bank.to(order.account)[0]
    assert transfer.body["amount"] == "1200.00"
    base = transfer.reference.rpartition("-")[0]
    assert last["txId"].startswith(base)
    assert last["txId"] != base


def test_hazard_12_accept_404_pays_nothing_and_a_later_offer_is_a_new_round(world: World) -> None:
    """Somebody else holds the offer: nothing is paid; offered again, it is paid once."""
    order = world.order()
    world.offer(order, ttl_s=0)
    world.wait_state(order, "expired")
    assert not world.bank.posts_to(order.account)
    world.offer(order)
    last = _paid_in_round(world, order, 2)
    base = world.bank.to(order.account)[0].reference.rpartition("-")[0]
    assert last["txId"].startswith(base)
    assert last["txId"] != base


def test_hazard_2_re_offered_after_failed_is_a_new_attempt_with_a_new_tx_id(world: World) -> None:
    """Round 2 has another txId, the same base, and the next attempt number."""
    order = world.order()
    world.bank.plan(order.account, "pending", "failed", reason="Account closed")
    world.offer(order)
    world.wait_state(order, "failed")
    first = world.wait(order, "fulfill", 2)[-1]
    assert first["validationStatus"] == "failed"
    world.at_rest(order)
    world.aggregator.book.take_back(order)
    world.bank.plan(order.account, "successful")
    world.offer(order)
    last = _paid_in_round(world, order, 2)
    one, two = (each.reference for each in world.bank.to(order.account))
    assert (one[-3:], two[-3:]) == ("-01", "-02")
    assert one[:-3] == two[:-3] == first["txId"]
    assert last["txId"] != first["txId"]
    assert last["txId"].startswith(one[:-3])


def test_hazard_2_re_offered_while_failed_is_being_reported_is_not_forgotten(world: World) -> None:
    """The aggregator acted on the report and is slow to say so; what it offers is decided on."""
    order = world.order()
    world.bank.plan(order.account, "pending", "failed", reason="Account closed")
    world.aggregator.scripts.add("fulfill", order.id, NORMAL, slowly(0.5))
    world.offer(order)
    world.wait(order, "fulfill", 2)
    world.aggregator.book.take_back(order)
    world.bank.plan(order.account, "successful")
    world.offer(order)
    until(
        lambda: any(told[:2] in ((2, "accept"), (2, "decline")) for told in order.told),
        "an accept or a decline of the second offer",
    )


def test_hazard_2_re_offered_after_paid_reports_the_success_again_and_opens_a_case(
    world: World,
) -> None:
    """Nothing is paid; accept, then success with the original txId."""
    order = world.order()
    world.offer(order)
    world.settled(order)
    tx_id = order.bodies("fulfill")[-1]["txId"]
    world.aggregator.book.take_back(order)
    world.offer(order)
    world.wait(order, "fulfill", 1, 2)
    world.settled(order)
    again = [verb for round_, verb, _, _ in order.told if round_ == 2 and verb != "get"]
    assert again[0] == "accept"
    assert again[-1] == "fulfill"
    assert {body["txId"] for body in order.bodies("fulfill")} == {tx_id}
    assert order.reports()[-1] == "success"
    assert len(world.bank.posts_to(order.account)) == 1
    assert world.wait_case(order)


def test_hazard_3_a_lost_accept_answer_is_asked_for_again(world: World) -> None:
    """LIVE answers the second accept with 201; the recipient is paid once."""
    order = world.order()
    world.aggregator.scripts.add("accept", order.id, drop_after())
    world.offer(order)
    world.settled(order)
    assert order.verbs().count("accept") == 2
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_3_an_accept_answer_that_cannot_be_read_is_asked_for_again(world: World) -> None:
    """HTML, no recipient, busy, clock, server error: none of them is a reason to pay or to stop."""
    late = {"status": "error", "message": "Invalid timestamp", "data": None}
    busy = {"status": "error", "message": "Too many requests", "data": {"retry_after": 1}}
    steps = (
        say(201, b"<html>created</html>", act=True),
        say(201, {"status": "success", "message": "ok", "data": None}, act=True),
        say(500, b"", act=True),
        say(500, b""),
        say(429, busy),
        say(401, late),
    )
    orders = []
    for step in steps:
        order = world.order()
        world.aggregator.scripts.add("accept", order.id, step)
        world.offer(order)
        orders.append(order)
    for order in orders:
        world.settled(order)
        assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_3_accept_never_arrived_and_the_offer_went_elsewhere(world: World) -> None:
    """Accept is lost on its way, then 404; GET says 404 too: not ours, nothing paid."""
    order = world.order()
    world.aggregator.scripts.add("accept", order.id, drop_before())
    world.offer(order, ttl_s=0)
    world.wait_state(order, "expired")
    assert not world.bank.posts_to(order.account)
    assert "get" in [verb for _, verb, _, _ in order.told]


def test_hazard_3_ownership_that_cannot_be_proven_pays_nothing(world: World) -> None:
    """While GET fails nothing is paid; when it answers, the order is paid once."""
    order = world.order()
    nothing = {"status": "error", "message": "Order request not found or is expired", "data": None}
    world.aggregator.scripts.add("accept", order.id, drop_after(), *[say(404, nothing)] * 40)
    world.aggregator.scripts.add("get", order.id, *[say(500, b"<html>oops</html>")] * 40)
    world.offer(order)
    world.wait(order, "get", 2)
    time.sleep(0.5)
    assert not world.bank.posts_to(order.account)
    for endpoint in ("accept", "get"):
        world.aggregator.scripts.clear(endpoint, order.id)
    world.aggregator.ask_status(order)
    world.settled(order)
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_13_an_amount_that_changed_at_accept_is_never_paid_at_the_old_figure(
    world: World,
) -> None:
    """The answer of accept is the amount to pay; the offered figure is not."""
    order = world.order(refreshed_amount="80000")
    world.offer(order)
    world.wait_state(order, "fulfilled", "cancelled")
    assert {each.body["amount"] for each in world.bank.to(order.account)} <= {"80000.00"}


def test_hazard_8_an_invalid_recipient_is_cancelled_once_with_the_exact_reason(
    world: World,
) -> None:
    """Nothing was sent, nothing was reported, the reason is that of 4.4 to the letter."""
    order = world.order(account="12AB")
    world.offer(order)
    world.wait_status(order, "cancelled")
    time.sleep(0.3)
    assert order.reasons == [RECIPIENT]
    assert order.verbs() == ["accept", "cancel"]
    assert not world.bank.posts_to(order.account)


def test_hazard_8_a_cancel_without_an_answer_is_looked_up_before_it_is_repeated(
    world: World,
) -> None:
    """The lost cancel took effect; GET shows it, and it is not sent again."""
    order = world.order(account="13AB")
    world.aggregator.scripts.add("cancel", order.id, drop_after())
    world.offer(order)
    world.wait(order, "get")
    time.sleep(1.5)
    assert order.reasons == [RECIPIENT]
    assert world.state(order) == "cancelled"


def test_hazard_11_a_decline_is_repeated_once_at_most(world: World) -> None:
    """500 is unknown: one repeat, whose 404 says that nothing is left to do (4.2)."""
    order = world.order("60000000")
    world.aggregator.scripts.add("decline", order.id, say(500, b"", act=True))
    world.offer(order)
    world.wait(order, "decline", 2)
    time.sleep(0.5)
    assert order.verbs() == ["decline", "decline"]


def test_hazard_9_a_lost_success_is_looked_up_and_stops_there(world: World) -> None:
    """After the lost answer comes a GET, and no success on top of the one that counted."""

    def moved_on(order: Order, status: str) -> Step:
        return replace(drop_after(), after=lambda: setattr(order, "status", status))

    orders = []
    for status in ("validated", "settling", "settled"):
        order = world.order()
        world.bank.plan(order.account, "pending")
        world.offer(order)
        world.wait(order, "fulfill")
        world.aggregator.scripts.add("fulfill", order.id, moved_on(order, status))
        world.pay(order)
        orders.append(order)
    for order in orders:
        world.wait_state(order, "fulfilled")
        assert order.reports() == ["pending", "success"]
        told = [verb for _, verb, _, _ in order.told]
        assert told[told.index("fulfill") + 1 :] == ["fulfill", "get"]


def test_hazard_15_a_success_that_never_arrived_is_sent_again(world: World) -> None:
    """Lost before it acted, then a 500: GET in between each time, success in the end."""
    order = world.order()
    world.bank.plan(order.account, "pending")
    world.offer(order)
    world.wait(order, "fulfill")
    world.aggregator.scripts.add("fulfill", order.id, drop_before(), say(500, b""))
    world.pay(order)
    world.settled(order)
    assert order.reports() == ["pending"] + ["success"] * 3
    told = [verb for _, verb, _, _ in order.told if verb != "accept"]
    assert told == ["fulfill", "fulfill", "get", "fulfill", "get", "fulfill"]


def test_hazard_14_a_403_on_fulfil_stops_and_opens_a_case(world: World) -> None:
    """Paid, and no longer ours: a person reconciles; nothing is repeated, cancelled or re-paid."""
    order = world.order()
    world.bank.plan(order.account, "pending")
    world.offer(order)
    world.wait(order, "fulfill")
    order.ours = False
    world.pay(order)
    world.wait_case(order)
    time.sleep(1.2)
    assert order.reports() == ["pending", "success"]
    assert "cancel" not in order.verbs()
    assert len(world.bank.posts_to(order.account)) == 1


def test_hazard_16_already_refunded_opens_a_case(world: World) -> None:
    """200 "Order already refunded" after a payout is money lost."""
    order = world.order()
    world.bank.plan(order.account, "pending")
    world.offer(order)
    world.wait(order, "fulfill")
    order.status = "refunded"
    world.pay(order)
    cases = world.wait_case(order)
    assert any(severity == "high" for _, severity, _ in cases), cases
    time.sleep(0.5)
    assert order.reports() == ["pending", "success"]


def test_hazard_9_a_fulfilment_of_somebody_else_opens_a_case(world: World) -> None:
    """400 with a foreign txId: a case, no repeat, no second payout."""
    order = world.order()
    world.bank.plan(order.account, "pending")
    world.offer(order)
    world.wait(order, "fulfill")
    order.fulfilments[0].tx_id = "of-another"
    world.pay(order)
    world.wait_case(order)
    time.sleep(1.2)
    assert order.reports() == ["pending", "success"]
    assert len(world.bank.posts_to(order.account)) == 1


def test_the_books_of_node_and_bank_agree_at_the_end(world: World) -> None:
    """After all of the above the node's total is what the bank has."""
    world.assert_books_agree()
