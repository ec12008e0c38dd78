"""Deliveries: in order per payment, at least once, and back-off that is the receiver's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.integration.payments_out.world import DAY_S, USER, Heard, Receiver, World
from tidegate.payments import tables
from tidegate.payments.deliver_schedule import SCHEDULE_S
from tidegate.ports.notifier import Told


def _in_order(marks: Iterable[tuple[str, int]]) -> bool:
    found: dict[str, list[int]] = defaultdict(list)
    for payment, sequence in marks:
        found[payment].append(sequence)
    return all(numbers == list(range(1, len(numbers) + 1)) for numbers in found.values())


async def test_an_event_is_told_with_its_sequence_and_signature(
    world: World, shop: Receiver
) -> None:
    """Payload and headers of Standard Webhooks; its own library accepts them."""
    made = await world.endpoints.create(USER, shop.url, ["payment.*"])
    await world.pay("pay_1")
    event_id = await world.happen("pay_1", "payment.created")
    await world.work()
    (heard,) = shop.took
    payload = Webhook(made["secret"]).verify(heard.body, dict(heard.headers))
    assert payload["type"] == "payment.created"
    assert payload["data"] == {"payment": "pay_1", "sequence": 1}
    assert payload["timestamp"].endswith("Z")
    assert heard.id == event_id
    assert heard.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(heard.body + b" ", dict(heard.headers))
    assert await world.states(made["id"]) == ["delivered"]
    assert await world.due_in(made["id"]) is None
    (attempt,) = await world.rows(tables.delivery_attempts)
    assert (attempt["status"], attempt["error"]) == (204, None)


async def test_after_a_rotation_both_secrets_sign_for_a_day(world: World, shop: Receiver) -> None:
    old = await world.endpoints.create(USER, shop.url, ["*"])
    new = await world.endpoints.rotate(USER, old["id"])
    assert new["secret"] != old["secret"]
    await world.pay("pay_1")
    await world.happen("pay_1")
    await world.work()
    (heard,) = shop.took
    for secret in (old["secret"], new["secret"]):
        Webhook(secret).verify(heard.body, dict(heard.headers))
    assert len(heard.headers["webhook-signature"].split(" ")) == 2

    await world.pass_time(DAY_S + 1)
    await world.happen("pay_1")
    await world.work()
    assert len(shop.took[-1].headers["webhook-signature"].split(" ")) == 1


async def test_a_receiver_down_for_a_day_gets_everything_at_once_in_order(
    world: World, shop: Receiver
) -> None:
    """While it is down one head is tried on the schedule; then the backlog goes in one turn."""
    endpoint = await world.listen(shop.url)
    shop.answer(503)
    for payment in ("pay_1", "pay_2", "pay_3"):
        await world.pay(payment)
        for _ in range(4):
            await world.happen(payment)
    await world.work()
    waits: list[float] = []
    while (due := await world.due_in(endpoint)) is not None and sum(waits) < DAY_S:
        waits.append(due)
        heard = len(shop.heard)
        await world.happen("pay_1")  # what comes meanwhile does not shorten the back-off
        assert await world.work() == 0
        assert await world.due_in(endpoint) == pytest.approx(due, abs=2)
        await world.pass_time(due + 0.1)
        assert await world.work() == 1
        assert len(shop.heard) == heard + 1
    for wait, step in zip(waits, SCHEDULE_S, strict=False):
        assert wait == pytest.approx(step, rel=0.1, abs=1)
    assert len(waits) == 7
    assert shop.took == []

    shop.answer(200)
    due = await world.due_in(endpoint)
    assert due is not None
    await world.pass_time(due + 0.1)
    assert await world.work() == 1
    assert len(shop.took) == 12 + len(waits)
    assert _in_order(shop.marks)
    assert not shop.overtaken
    assert (await world.endpoint(endpoint))["failures"] == 0
    assert await world.due_in(endpoint) is None


async def test_a_poison_event_holds_up_its_own_payment_only(world: World, shop: Receiver) -> None:
    endpoint = await world.listen(shop.url)

    def answers(heard: Heard) -> web.Response:
        return web.Response(status=400 if heard.mark == ("pay_bad", 1) else 200)

    shop.answers = answers
    for payment in ("pay_bad", "pay_good"):
        await world.pay(payment)
        for _ in range(2):
            await world.happen(payment)
    await world.work()
    assert shop.marks == [("pay_good", 1), ("pay_good", 2)]
    assert (await world.endpoint(endpoint))["failures"] == 0
    for _ in range(6):  # its tries alone do not make the receiver one that fails
        due = await world.due_in(endpoint)
        assert due is not None
        await world.pass_time(due + 0.1)
        await world.work()
    tries = sum(each.mark == ("pay_bad", 1) for each in shop.heard)
    assert tries == 7
    assert (await world.due_in(endpoint) or 0) > 12 * 3_600
    await world.happen("pay_good")
    await world.work()
    assert shop.marks[-1] == ("pay_good", 3)

    shop.answer(200)
    await world.pass_time(16 * 3_600)
    await world.work()
    assert shop.marks[-2:] == [("pay_bad", 1), ("pay_bad", 2)]


async def test_a_poison_event_that_came_alone_does_not_stand_for_the_receiver(
    world: World, shop: Receiver
) -> None:
    """The first probe after another event came is made with that other event."""
    endpoint = await world.listen(shop.url)

    def answers(heard: Heard) -> web.Response:
        return web.Response(status=500 if heard.mark[0] == "pay_bad" else 200)

    shop.answers = answers
    await world.pay("pay_bad")
    await world.pay("pay_good")
    await world.happen("pay_bad")
    await world.work()
    assert (await world.endpoint(endpoint))["failures"] == 1
    await world.happen("pay_good")
    await world.pass_time(6)
    await world.work()
    assert shop.marks == [("pay_good", 1)]
    assert (await world.endpoint(endpoint))["failures"] == 0


async def test_different_payments_go_side_by_side_but_not_all(world: World, shop: Receiver) -> None:
    await world.listen(shop.url)

    for number in range(20):
        await world.pay(f"pay_{number}")
        await world.happen(f"pay_{number}")
        await world.happen(f"pay_{number}")
    await world.work()
    assert len(shop.took) == 40
    assert _in_order(shop.marks)
    assert 1 < shop.at_once_most <= 8
    assert not shop.overtaken


async def test_a_turn_is_bounded_and_goes_on(world: World, shop: Receiver) -> None:
    endpoint = await world.listen(shop.url)
    for number in range(26):
        await world.pay(f"pay_{number}")
        for _ in range(8):
            await world.happen(f"pay_{number}")
    (claimed,) = await world.claim()
    await world.notify(claimed)
    assert len(shop.took) == 200
    assert (await world.due_in(endpoint) or 0) <= 0
    assert await world.work() == 1
    assert len(shop.took) == 208
    assert _in_order(shop.marks)


async def test_a_410_disables_at_once_and_is_told_to_the_others(
    world: World, shop: Receiver, books: Receiver
) -> None:
    shop.answer(410)
    gone = await world.listen(shop.url)
    await world.listen(books.url, "payment.*")
    await world.pay("pay_1")
    await world.happen("pay_1")
    await world.work()
    row = await world.endpoint(gone)
    assert (row["state"], row["disabled_why"], row["due_at"]) == ("disabled", "gone", None)
    assert [each.type for each in books.took] == ["payment.processing", "webhook_endpoint.disabled"]
    assert books.took[1].data["id"] == gone
    assert await world.states(gone) == ["waiting"]
    await world.happen("pay_1")
    await world.work()
    assert len(shop.heard) == 1


async def test_after_five_days_the_event_is_given_up_and_the_endpoint_disabled_once(
    world: World, shop: Receiver, books: Receiver
) -> None:
    """The payment's timeline and the user's other endpoints are told; a replay sends it again."""
    shop.answer(500)
    endpoint = await world.listen(shop.url)
    await world.listen(books.url)
    await world.pay("pay_1")
    await world.happen("pay_1")
    await world.happen("pay_1")
    await world.work()
    passed = 0.0
    while (due := await world.due_in(endpoint)) is not None:
        await world.pass_time(due + 0.1)
        passed += due + 0.1
        await world.work()
        assert passed < 6 * DAY_S
    assert passed == pytest.approx(5 * DAY_S, abs=60)
    row = await world.endpoint(endpoint)
    assert (row["state"], row["disabled_why"]) == ("disabled", "failing")
    assert await world.states(endpoint) == ["given_up", "waiting"]
    events = await world.rows(tables.payment_events)
    assert [(each["seq"], each["type"]) for each in events][2:] == [
        (3, "webhook_endpoint.disabled")
    ]
    told = [each.type for each in books.took]
    assert told.count("webhook_endpoint.disabled") == 1

    shop.answer(200)
    await world.endpoints.patch(USER, endpoint, enabled=True)
    await world.work()
    assert shop.marks == [("pay_1", 2)]
    assert await world.again.replay(USER, endpoint, 0) == 3
    await world.work()
    assert [each.data["sequence"] for each in shop.took[1:]] == [1, 2, 3]


async def test_retry_after_is_honoured(world: World, shop: Receiver) -> None:
    """Also when something was delivered before; then one head, and the rest at once."""
    endpoint = await world.listen(shop.url)
    shop.answers = lambda heard: (
        web.Response(status=200)
        if len(shop.heard) < 3
        else web.Response(status=429, headers={"Retry-After": "7200"})
    )
    await world.pay("pay_1")
    for _ in range(5):
        await world.happen("pay_1")
    await world.work()
    assert len(shop.heard) == 3
    assert await world.due_in(endpoint) == pytest.approx(7200, abs=5)
    await world.happen("pay_1")
    assert await world.work() == 0
    shop.answer(200)
    await world.pass_time(7201)
    await world.work()
    assert shop.marks == [("pay_1", number) for number in range(1, 7)]


async def test_a_redirect_is_a_failure_and_not_followed(
    world: World, shop: Receiver, books: Receiver
) -> None:
    endpoint = await world.listen(shop.url)
    shop.answer(307, Location=books.url)
    await world.pay("pay_1")
    await world.happen("pay_1")
    await world.work()
    assert books.heard == []
    (delivery,) = await world.rows(tables.deliveries, endpoint_id=endpoint)
    assert (delivery["state"], delivery["last_status"]) == ("waiting", 307)


class _Died(Exception):
    """Nothing after this is done any more."""


class _Dying:
    """Sends, and the process dies before anything of it is committed."""

    def __init__(self, world: World) -> None:
        self._inner = world.notifier

    def check(self, url: str) -> str | None:
        return self._inner.check(url)

    async def tell(self, url: str, headers: Mapping[str, str], body: bytes) -> Told:
        await self._inner.tell(url, headers, body)
        raise _Died

    async def close(self) -> None:
        await self._inner.close()


async def test_a_crash_between_send_and_commit_sends_the_same_message_again(
    world: World, shop: Receiver
) -> None:
    """At least once, with the id that lets the receiver see it; never a gap."""
    endpoint = await world.listen(shop.url)
    await world.pay("pay_1")
    event_id = await world.happen("pay_1")
    await world.happen("pay_1")
    (claimed,) = await world.claim()
    whole, world.notifier = world.notifier, _Dying(world)
    with pytest.raises(ExceptionGroup):
        await world.notify(claimed)
    world.notifier = whole
    assert await world.work() == 0  # the dead one's lease
    await world.pass_time(200)
    assert await world.work() == 1
    assert [each.id for each in shop.took[:2]] == [event_id, event_id]
    assert shop.took[0].body == shop.took[1].body
    assert shop.marks == [("pay_1", 1), ("pay_1", 1), ("pay_1", 2)]
    assert await world.states(endpoint) == ["delivered", "delivered"]


async def test_a_new_url_is_tried_at_once(world: World, shop: Receiver, books: Receiver) -> None:
    """Also when it comes while the old one is being probed: the user's wish stands."""
    endpoint = await world.listen(shop.url)
    shop.answer(500)
    await world.pay("pay_1")
    await world.happen("pay_1")
    await world.work()
    await world.pass_time(6)
    (claimed,) = await world.claim()
    await world.endpoints.patch(USER, endpoint, url=books.url)
    await world.notify(claimed)
    assert len(shop.heard) == 2
    await world.work()
    assert books.marks == [("pay_1", 1)]


async def test_the_answers_beginning_is_logged(world: World, shop: Receiver) -> None:
    shop.answers = lambda heard: web.Response(status=500, body=b"x\x00" + b"y" * 5000)
    endpoint = await world.listen(shop.url)
    await world.pay("pay_1")
    await world.happen("pay_1")
    await world.work()
    (shown,) = await world.again.page(USER, endpoint, None, 10)
    (attempt,) = shown["attempts"]
    assert attempt["status"] == 500
    assert attempt["answer"] == "x\ufffd" + "y" * 1022
