"""A user's endpoints: made, changed, rotated, removed; deliveries shown and sent again."""

from __future__ import annotations

import asyncio
from base64 import b64decode

import pytest

from tests.integration.payments_out.world import USER, Receiver, World
from tidegate.db.vault import Vault
from tidegate.errors import LimitReached, NotFound, ReceiverRefused, ValidationFailed
from tidegate.payments import deliver_again, tables
from tidegate.payments.deliver_keys import renew_secrets
from tidegate.payments.endpoints import ENDPOINTS_MAX

_URL = "http://127.0.0.1:9999/hook"


async def test_the_secret_is_shown_once_and_kept_encrypted(world: World) -> None:
    made = await world.endpoints.create(USER, _URL, ["*"])
    assert len(b64decode(made["secret"].removeprefix("whsec_"), validate=True)) >= 24
    assert "secret" not in await world.endpoints.show(USER, made["id"])
    assert all("secret" not in each for each in await world.endpoints.all(USER))
    row = await world.endpoint(made["id"])
    assert made["secret"].removeprefix("whsec_") not in row["secret"]
    assert world.vault.decrypt(row["secret"]) == made["secret"]


async def test_what_belongs_to_another_is_not_found(world: World) -> None:
    endpoint = await world.listen(_URL)
    await world.pay("pay_1")
    await world.happen("pay_1")
    (delivery,) = await world.rows(tables.deliveries)
    other = "usr_2"
    for call in (
        world.endpoints.show(other, endpoint),
        world.endpoints.patch(other, endpoint, enabled=False),
        world.endpoints.delete(other, endpoint),
        world.endpoints.rotate(other, endpoint),
        world.again.page(other, endpoint, None, 10),
        world.again.replay(other, endpoint, 0),
        world.again.redeliver(other, delivery["id"]),
    ):
        with pytest.raises(NotFound):
            await call
    assert await world.endpoints.all(other) == []


async def test_one_user_has_at_most_sixteen_also_when_all_come_at_once(world: World) -> None:
    outcomes = await asyncio.gather(
        *(world.endpoints.create(USER, _URL, ["*"]) for _ in range(ENDPOINTS_MAX + 4)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, LimitReached) for each in outcomes) == 4
    found = await world.endpoints.all(USER)
    assert len(found) == ENDPOINTS_MAX
    with pytest.raises(LimitReached):
        await world.endpoints.create(USER, _URL, ["*"])
    await world.endpoints.create("usr_2", _URL, ["*"])
    await world.endpoints.delete(USER, found[0]["id"])
    await world.endpoints.create(USER, _URL, ["*"])


async def test_a_url_or_an_event_that_cannot_be_is_refused(world: World) -> None:
    with pytest.raises(ReceiverRefused):
        await world.endpoints.create(USER, "https://10.0.0.1/", ["*"])
    with pytest.raises(ValidationFailed) as refused:
        await world.endpoints.create(USER, _URL, ["payment.*", "payment.exploded"])
    assert [each["field"] for each in refused.value.errors] == ["events.1"]
    endpoint = await world.listen(_URL)
    with pytest.raises(ReceiverRefused):
        await world.endpoints.patch(USER, endpoint, url="ftp://shop.example.com/")
    assert (await world.endpoints.show(USER, endpoint))["url"] == _URL


async def test_what_waits_at_a_disabled_endpoint_goes_when_it_is_enabled(
    world: World, shop: Receiver
) -> None:
    """What happened meanwhile is left out, until a replay."""
    endpoint = await world.listen(shop.url)
    await world.pay("pay_1")
    await world.happen("pay_1")
    shown = await world.endpoints.patch(USER, endpoint, enabled=False)
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "by_user")
    since = world.clock.now_ms()
    await world.happen("pay_1")
    assert await world.work() == 0
    shown = await world.endpoints.patch(USER, endpoint, enabled=True)
    assert (shown["enabled"], shown["disabled_reason"]) == (True, None)
    await world.happen("pay_1")
    await world.work()
    assert shop.marks == [("pay_1", 1), ("pay_1", 3)]
    assert await world.again.replay(USER, endpoint, since) == 2
    await world.work()
    assert shop.marks[2:] == [("pay_1", 2), ("pay_1", 3)]


async def test_a_replay_sends_everything_since_then_in_order(
    world: World, shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over many pages, with the ids it had, and only what the filter lets through."""
    monkeypatch.setattr(deliver_again, "_PAGE", 7)
    endpoint = await world.listen(shop.url, "payment.*")
    await world.pay("pay_1")
    await world.pay("pay_2")
    await world.happen("pay_1", "payment.created")
    await world.work()
    since = world.clock.now_ms()
    for number in range(20):
        await world.happen("pay_1")
        await world.happen("pay_2", "payment.failed" if number % 2 else "refund.created")
    await world.work()
    first, shop.took[:] = [each.id for each in shop.took[1:]], []
    assert await world.again.replay(USER, endpoint, since) == 30
    await world.work()
    assert sorted(each.id for each in shop.took) == sorted(first)
    for payment in ("pay_1", "pay_2"):
        numbers = [sequence for name, sequence in shop.marks if name == payment]
        assert numbers == sorted(numbers)


async def test_one_event_is_sent_again_even_from_a_receiver_in_back_off(
    world: World, shop: Receiver
) -> None:
    endpoint = await world.listen(shop.url)
    await world.pay("pay_1")
    await world.pay("pay_2")
    first = await world.happen("pay_1")
    await world.work()
    shop.answer(500)
    await world.happen("pay_2")
    await world.work()
    assert (await world.endpoint(endpoint))["failures"] == 1
    shop.answer(200)
    (delivery,) = await world.rows(tables.deliveries, event_id=first)
    shown = await world.again.redeliver(USER, delivery["id"])
    assert (shown["state"], len(shown["attempts"])) == ("waiting", 1)
    await world.work()
    assert [each.id for each in shop.took].count(first) == 2
    assert await world.states(endpoint) == ["delivered", "delivered"]


async def test_the_log_is_read_by_pages_newest_first(world: World, shop: Receiver) -> None:
    endpoint = await world.listen(shop.url)
    await world.pay("pay_1")
    events = [await world.happen("pay_1") for _ in range(5)]
    await world.work()
    page = await world.again.page(USER, endpoint, None, 3)
    rest = await world.again.page(USER, endpoint, page[-1]["event_id"], 3)
    assert [each["event_id"] for each in (*page, *rest)] == events[::-1]
    assert all(len(each["attempts"]) == 1 for each in page)


async def test_rotations_at_once_both_end_in_use(world: World) -> None:
    endpoint = await world.listen(_URL)
    made = await asyncio.gather(*(world.endpoints.rotate(USER, endpoint) for _ in range(2)))
    row = await world.endpoint(endpoint)
    kept = {world.vault.decrypt(row[name]) for name in ("secret", "secret_previous")}
    assert kept == {each["secret"] for each in made}


async def test_after_a_rotation_of_the_key_no_earlier_one_is_needed(world: World) -> None:
    made = await world.endpoints.create(USER, _URL, ["*"])
    rotated = await world.endpoints.rotate(USER, made["id"])
    new = Vault("another key", ["a secret key of the tests"])
    assert await renew_secrets(world.database, world.committer, new) == 1
    assert await renew_secrets(world.database, world.committer, new) == 0
    row = await world.endpoint(made["id"])
    alone = Vault("another key")
    assert alone.decrypt(row["secret"]) == rotated["secret"]
    assert alone.decrypt(row["secret_previous"]) == made["secret"]
