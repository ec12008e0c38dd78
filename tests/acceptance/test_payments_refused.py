"""What is refused at the door leaves nothing behind: card numbers, and news that is not ours."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest

from tests.acceptance.counterparty.server import Answer
from tests.acceptance.processor import world as worlds
from tests.acceptance.processor.events import Event, sign
from tests.acceptance.processor.shopper import Shopper
from tests.acceptance.processor.world import PaymentWorld

DATABASES = ("sqlite", "postgresql")
world = worlds.world

# The processor's own test number, as it is written and as people type it.
CARD = "4242424242424242"
SPELLED = (CARD, "4242 4242 4242 4242", "4242-4242-4242-4242")

BODIES: dict[str, Any] = {
    "a-field-of-its-own": {"card": {"number": CARD, "exp_month": 12}},
    "the-description": {"description": f"card {CARD}"},
    "the-metadata": {"metadata": {"card": SPELLED[1]}},
    "a-metadata-name": {"metadata": {CARD: "card"}},
    "the-method": {"payment_method_id": CARD},
    "with-hyphens": {"description": SPELLED[2]},
    "a-number": {"description": "x", "card": int(CARD)},
}


@pytest.mark.parametrize("where", BODIES)
def test_a_card_number_is_refused_and_kept_nowhere(world: PaymentWorld, where: str) -> None:
    """422, and neither the log nor the database nor the processor has seen it."""
    shopper = world.shopper()
    order = {**shopper.order(2_000), **BODIES[where]}
    calls = world.processor.calls["create"]

    answer = shopper.post("/api/payments", order, shopper.new_key())

    _is_refused(answer)
    assert shopper.payments() == []
    assert world.processor.calls["create"] == calls
    _is_nowhere(world)


def test_a_card_number_is_refused_wherever_it_is_sent(world: PaymentWorld) -> None:
    """As a token, as a refund's reason, as an idempotency key."""
    shopper = world.shopper()
    payment = shopper.pay(2_100)
    refunds = f"/api/payments/{payment['id']}/refunds"

    _is_refused(shopper.post("/api/payment-methods", {"token": CARD}))
    _is_refused(shopper.post(refunds, {"reason": f"wrong card {CARD}"}, shopper.new_key()))
    keyed = shopper.post("/api/payments", shopper.order(2_200), CARD)

    assert keyed.status in {400, 422}, (keyed.status, keyed.body)
    assert world.processor.refunds(payment["id"]) == []
    _is_nowhere(world)


@pytest.mark.parametrize("name", ["no-such-id", "0b0f5f3e-8f5c-4c6e-9d1e-2f5a7d1c9b3a", "%00", "."])
def test_what_cannot_be_an_id_is_the_id_of_nothing(world: PaymentWorld, name: str) -> None:
    """404, as for an id that may be one: whoever asks need not know what ours look like."""
    shopper = world.shopper()
    payment, method = f"/api/payments/{name}", f"/api/payment-methods/{name}"
    asked = [shopper.ask(f"{payment}{of}") for of in ("", "/events", "/refunds")]
    for what in ("capture", "refunds"):
        asked.append(shopper.post(f"{payment}/{what}", {}, shopper.new_key()))
    asked.append(shopper.post(f"{payment}/cancel", {}))
    asked.append(shopper.post(f"{method}/default", {}))
    assert {(each.status, each.json["code"]) for each in asked} == {(404, "not_found")}


def test_what_a_token_looks_like_is_the_processors_business(world: PaymentWorld) -> None:
    """A hyphen is passed on, and refused there; nothing that leads to another address is."""
    shopper = world.shopper()
    unknown = shopper.post("/api/payment-methods", {"token": "pm_1-of-nobody"})
    assert (unknown.status, unknown.json["code"]) == (424, "processor_failed")
    for token in ("pm_1/../x", "pm_1?a=b", "pm_1%2fx", "pm_.."):
        refused = shopper.post("/api/payment-methods", {"token": token})
        assert (refused.status, refused.json["code"]) == (422, "validation_failed"), token


def test_events_that_are_not_signed_by_the_processor_are_refused(world: PaymentWorld) -> None:
    """400, and nothing is kept or looked at."""
    event = _an_event(world, world.shopper())
    body = json.dumps(event).encode()
    now_s = int(time.time())
    good = sign(body)
    for signature in (
        "",
        "t=1,v1=abc",
        good.replace("v1=", "v0="),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        sign(body, "whsec_somebody_elses_0123456789"),
        sign(body + b" "),
        sign(body, at_s=now_s - 301),
    ):
        answer = world.processor.events.tell(event, signature)
        assert answer.status == 400, (signature, answer.status, answer.body)
    assert _kept(world, event) == 0


def test_events_of_another_environment_are_refused(world: PaymentWorld) -> None:
    """Signed as they are: money that is real is no news for a key that is not."""
    event = _an_event(world, world.shopper())
    answer = world.processor.events.tell({**copy.deepcopy(event), "livemode": True})
    assert answer.status == 400, (answer.status, answer.body)
    assert _kept(world, event) == 0
    assert world.processor.events.tell(event).status == 200
    assert _kept(world, event) == 1


def test_an_event_is_kept_once_and_unknown_kinds_too(world: PaymentWorld) -> None:
    """What we do not know is kept and left alone; what comes again changes nothing."""
    event = _an_event(world, world.shopper())
    strange = {**copy.deepcopy(event), "id": event["id"] + "x", "type": "tax.settings.updated"}
    strange["data"]["object"] = {"id": "taxs_1", "object": "tax.settings"}
    for told in (event, strange, event, strange):
        assert world.processor.events.tell(told).status == 200
    assert (_kept(world, event), _kept(world, strange)) == (1, 1)
    outcome = "SELECT outcome FROM inbox WHERE dedupe_key = ?"
    assert world.rows(outcome, strange["id"])[0][0].startswith("ignored")


def _an_event(world: PaymentWorld, shopper: Shopper) -> Event:
    """News of a payment of ours, which nobody was told so far."""
    world.processor.events.take()
    shopper.pay(2_300)
    found: Event = world.processor.events.take()[-1]
    assert found["type"] == "payment_intent.succeeded"
    return found


def _kept(world: PaymentWorld, event: Event) -> int:
    found = world.rows("SELECT COUNT(*) FROM inbox WHERE dedupe_key = ?", event["id"])
    return int(found[0][0])


def _is_refused(answer: Answer) -> None:
    assert (answer.status, answer.json["code"]) == (422, "card_number_refused"), answer.body
    assert not any(spelled.encode() in answer.body for spelled in SPELLED)


def _is_nowhere(world: PaymentWorld) -> None:
    """Not in the log; not in the database's file, or in any row of any table."""
    places = [world.node.log.read_bytes()]
    if world.database_url.startswith("sqlite:///"):
        path = world.database_url.removeprefix("sqlite:///")
        files = [file for file in world.directory.iterdir() if str(file).startswith(path)]
        assert files
        places += [file.read_bytes() for file in files]
    else:
        tables = world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert len(tables) > 10
        for (table,) in tables:
            rows = world.rows(f'SELECT t::text FROM "{table}" t')  # noqa: S608 -- its own name
            places += [row[0].encode() for row in rows]
    for spelled in SPELLED:
        assert not any(spelled.encode() in place for place in places), spelled
