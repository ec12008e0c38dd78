"""The payment API, as the real program, before two processors that were written apart.

Each flow is written once and runs before localstripe and before our own sandbox; what localstripe
does not play is listed, with the reason and a proof, in ``localstripe/limits.py``. After a flow
node and processor must say the same of the payment (``User.agree``). Some run on PostgreSQL too.
The parts differ in how the node gets its news: at first by webhooks alone, then by looking alone,
with answers lost on the way, at last by the processor's list of events alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.counterparty.server import send
from tests.acceptance.localstripe.limits import LIMITS
from tests.acceptance.localstripe.places import FLOWS, Place, Shops, flow, places_of
from tests.acceptance.localstripe.processors import LocalStripe, Sandbox
from tests.acceptance.localstripe.shop import Mode, Shop, until
from tests.acceptance.localstripe.stream import follow

ASKS_THE_CARDHOLDER: Final = "4000002500003155"
IS_DECLINED: Final = "pm_card_chargeCustomerFail"
IS_REFUSED_AT_ONCE: Final = "pm_card_visa_chargeDeclined"
REFUND_FAILS: Final = "4000000000005126"
PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "stripe.md"


def _run(place: Place) -> Any:
    """On PostgreSQL the flows repeat what SQLite shows of localstripe: for the long run."""
    return pytest.param(place, marks=pytest.mark.long) if place.database == "postgresql" else place


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each flow, before every processor that plays it."""
    if "shop" in metafunc.fixturenames:
        places = places_of(metafunc.function.__name__)
        metafunc.parametrize(
            "shop",
            [_run(place) for place in places],
            indirect=True,
            ids=["-".join(place[:2]) for place in places],
        )


@pytest.fixture(scope="module")
def shops(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shops]:
    opened = Shops(request.config, tmp_path_factory)
    yield opened
    opened.close()


@pytest.fixture
def shop(request: pytest.FixtureRequest, shops: Shops) -> Shop:
    """A node before a processor; see ``Shops``."""
    return shops.get(request.param)


# -- accounts and cards ----------------------------------------------------------------------------


@flow(Mode.TOLD)
def test_nobody_pays_without_logging_in(shop: Shop) -> None:
    """Without a token there is nothing; with one there are the user's own payments."""
    user = shop.user()
    assert user.call("GET", "/api/payments").json == {"data": [], "next_cursor": None}
    assert send("GET", f"{shop.url}/api/payments").status == 401
    wrong = {"email": user.email, "password": "another one altogether"}
    assert user.call("POST", "/api/auth/login", wrong).status == 401


@flow(Mode.TOLD)
def test_a_card_is_stored_preferred_and_removed(shop: Shop) -> None:
    """The first card is the default until another is; a removed one is the customer's no more."""
    user = shop.user()
    token = shop.processor.card("4242424242424242")
    answer = user.call("POST", "/api/payment-methods", {"token": token})
    assert answer.status == 201, answer.body
    first, second = answer.json, user.store("pm_card_visa")
    assert (first["is_default"], second["is_default"]) == (True, False)
    assert (first["card"]["brand"], first["card"]["last4"]) == ("visa", "4242")
    again = user.call("POST", "/api/payment-methods", {"token": token})
    assert again.json["id"] == first["id"]
    assert _customer(shop, token) is not None

    assert user.call("POST", f"/api/payment-methods/{second['id']}/default").status == 200
    assert user.call("DELETE", f"/api/payment-methods/{first['id']}").status == 204
    assert _customer(shop, token) is None
    stored = user.call("GET", "/api/payment-methods").json["data"]
    assert [(row["id"], row["is_default"]) for row in stored] == [(second["id"], True)]
    body = {"amount": 900, "currency": "eur", "payment_method_id": first["id"]}
    assert user.call("POST", "/api/payments", body, uuid.uuid4().hex).status == 422


@flow(Mode.TOLD)
def test_a_card_that_cannot_be_stored_is_refused(shop: Shop) -> None:
    """Declined when it is attached: 402, and nothing is stored."""
    user = shop.user()
    answer = user.call("POST", "/api/payment-methods", {"token": IS_REFUSED_AT_ONCE})
    assert (answer.status, answer.json["code"]) == (402, "card_declined")
    assert user.call("GET", "/api/payment-methods").json["data"] == []


@flow(Mode.TOLD)
def test_a_card_is_stored_by_the_browser(shop: Shop) -> None:
    """The set-up intent's secret completes it at the processor; its card then pays."""
    user = shop.user()
    answer = user.call("POST", "/api/payment-methods/setup")
    assert (answer.status, answer.json["publishable_key"]) == (200, "pk_test_acceptance")
    token = shop.processor.store(answer.json["client_secret"], "4242424242424242")
    assert user.agree(user.pay(token)).captured == 2_500


# -- payments --------------------------------------------------------------------------------------


@flow(Mode.TOLD, postgresql=True)
def test_a_payment_takes_the_money(shop: Shop) -> None:
    """One answer, one object at the processor, the whole amount."""
    user = shop.user()
    paid = user.pay(description="Order 1042", metadata={"order": "1042"})
    assert (paid["status"], paid["amount_captured"], paid["outcome"]) == ("succeeded", 2_500, None)
    assert (paid["description"], paid["metadata"]) == ("Order 1042", {"order": "1042"})
    assert user.agree(paid).captured == 2_500
    assert shop.processor.objects_of(paid["id"]) == [paid["processor_reference"]]
    assert user.told(paid) == ["payment.created", "payment.succeeded"]


@flow(Mode.TOLD, postgresql=True)
def test_a_declined_card_is_told_so(shop: Shop) -> None:
    """402 with the processor's code; nothing was taken, and nobody can pay it later."""
    user = shop.user()
    answer = user.ask(IS_DECLINED)
    assert (answer.status, answer.json["code"]) == (402, "card_declined"), answer.body
    payment = answer.json["payment"]
    assert (payment["status"], payment["failure"]["code"]) == ("failed", "card_declined")
    assert user.show(payment) == payment
    reference = payment["processor_reference"]
    until(lambda: shop.processor.look(reference).status == "canceled", "it is closed", shop.tail)
    assert shop.processor.look(reference).captured == 0
    assert user.told(payment) == ["payment.created", "payment.failed"]


@flow(Mode.TOLD)
def test_the_reason_of_a_decline_is_shown(shop: Shop) -> None:
    """What the bank says reaches the client."""
    failed = shop.user().ask(IS_DECLINED).json["payment"]
    assert failed["failure"]["decline_code"] == "generic_decline"


@flow(Mode.TOLD, postgresql=True)
def test_a_repeated_request_is_answered_from_its_key(shop: Shop) -> None:
    """The same key gives the same answer and no second charge; another body is refused."""
    user, key = shop.user(), uuid.uuid4().hex
    body = {"amount": 1_200, "currency": "usd", "payment_method_id": user.store()["id"]}
    first = user.call("POST", "/api/payments", body, key)
    again = user.call("POST", "/api/payments", body, key)
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert again.headers["idempotent-replayed"] == "true"
    assert user.call("POST", "/api/payments", {**body, "amount": 1_300}, key).status == 422
    assert shop.processor.objects_of(first.json["id"]) == [first.json["processor_reference"]]


@flow(Mode.TOLD)
def test_a_repeated_decline_is_answered_from_its_key(shop: Shop) -> None:
    """A decline is an answer like others: the card is not asked again."""
    user, key = shop.user(), uuid.uuid4().hex
    body = {"amount": 900, "currency": "eur", "payment_method_id": user.store(IS_DECLINED)["id"]}
    first, again = (user.call("POST", "/api/payments", body, key) for _ in range(2))
    assert (first.status, again.status) == (402, 402)
    assert again.json["payment"] == first.json["payment"]
    assert len(user.call("GET", "/api/payments").json["data"]) == 1


# -- 3-D Secure, and cards that the browser brings -------------------------------------------------


@flow(Mode.TOLD, postgresql=True)
def test_the_cardholder_is_asked_and_a_webhook_tells_the_end(shop: Shop) -> None:
    """`requires_action` shows how to go on; the signed event makes it `succeeded`."""
    user = shop.user()
    asked = user.pay(ASKS_THE_CARDHOLDER)
    assert (asked["status"], asked["amount_captured"]) == ("requires_action", 0)
    action = asked["next_action"]
    assert (action["type"], action["publishable_key"]) == ("use_stripe_sdk", "pk_test_acceptance")
    shop.processor.authenticate(asked["processor_reference"], action["client_secret"], approve=True)
    assert user.wait(asked, "succeeded")["next_action"] is None
    assert user.agree(asked).captured == 2_500
    assert user.told(asked) == ["payment.created", "payment.requires_action", "payment.succeeded"]


@flow(Mode.TOLD)
def test_the_bank_has_a_page(shop: Shop) -> None:
    """With a return URL the client is sent to the bank's page."""
    asked = shop.user().pay(ASKS_THE_CARDHOLDER, return_url="https://shop.example.com/done")
    action = asked["next_action"]
    assert action["type"] == "redirect_to_url"
    assert action["redirect_to_url"]["return_url"] == "https://shop.example.com/done"
    assert send("GET", action["redirect_to_url"]["url"]).status == 200


@flow(Mode.TOLD, postgresql=True)
def test_a_browser_brings_the_card(shop: Shop) -> None:
    """Without a method the payment waits; confirmed at the processor, a webhook ends it."""
    user = shop.user()
    bare = user.pay(None)
    assert bare["status"] == "requires_payment_method"
    assert bare["next_action"]["type"] == "provide_payment_method"
    assert bare["next_action"]["client_secret"].startswith(bare["processor_reference"])
    assert shop.processor.bring(bare["processor_reference"], "pm_card_visa").status == 200
    user.wait(bare, "succeeded")
    assert user.agree(bare).captured == 2_500


@flow(Mode.TOLD)
def test_a_browser_may_bring_another_card(shop: Shop) -> None:
    """A card that the browser brought and that was declined leaves the payment open."""
    user = shop.user()
    bare = user.pay(None)
    reference = bare["processor_reference"]
    assert shop.processor.bring(reference, IS_DECLINED).status == 402
    until(lambda: user.show(bare)["failure"] is not None, "the decline is known", shop.tail)
    assert user.show(bare)["status"] == "requires_payment_method"
    assert user.change(bare, "cancel").status == 200
    assert user.agree(bare).status == "canceled"


@flow(Mode.TOLD)
def test_an_event_that_is_not_signed_is_refused(shop: Shop) -> None:
    """Signed by somebody else, or long ago, it is not believed; the true one is."""
    event = {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": {"id": "pi_of_nobody", "object": "payment_intent"}},
    }
    raw, now = json.dumps(event).encode(), int(time.time())
    forged = _signed(raw, "whsec_of_somebody_else", now)
    old = _signed(raw, shop.processor.secret, now - 3_600)
    true = _signed(raw, shop.processor.secret, now)
    url = f"{shop.url}/api/webhooks/stripe"
    given: tuple[dict[str, str], ...] = ({}, forged, old, true, true)
    assert [send("POST", url, raw, headers).status for headers in given] == [400] * 3 + [200] * 2


# -- capture, cancel, refund -----------------------------------------------------------------------


@flow(Mode.TOLD, postgresql=True)
def test_what_was_authorised_is_captured(shop: Shop) -> None:
    """Nothing is taken before; all of it then; and only once."""
    user = shop.user()
    held = user.pay(capture_method="manual")
    assert (held["status"], held["amount_captured"]) == ("requires_capture", 0)
    assert user.agree(held).captured == 0
    too_much = user.change(held, "capture", {"amount": 2_501})
    assert (too_much.status, too_much.json["code"]) == (422, "amount_not_allowed")
    done = user.change(held, "capture")
    assert (done.status, done.json["status"]) == (200, "succeeded"), done.body
    assert user.agree(held).captured == 2_500
    assert user.change(held, "capture").status == 409


@flow(Mode.TOLD)
def test_a_part_is_captured(shop: Shop) -> None:
    """The rest is let go, and what was captured is what can be refunded."""
    user = shop.user()
    held = user.pay(capture_method="manual")
    done = user.change(held, "capture", {"amount": 1_500})
    assert (done.status, done.json["amount_captured"]) == (200, 1_500), done.body
    assert user.agree(held).captured == 1_500
    assert user.change(held, "refunds", {"amount": 1_501}).status == 409


@flow(Mode.TOLD, postgresql=True)
def test_a_payment_is_given_up(shop: Shop) -> None:
    """Authorised, or waiting for the cardholder: cancelled here it is cancelled there."""
    user = shop.user()
    for payment in (user.pay(capture_method="manual"), user.pay(ASKS_THE_CARDHOLDER)):
        given_up = user.change(payment, "cancel")
        assert (given_up.status, given_up.json["status"]) == (200, "canceled"), given_up.body
        assert user.agree(payment).status == "canceled"
        assert user.change(payment, "cancel").status == 200
        assert user.change(payment, "capture").status == 409
        assert user.told(payment)[-1] == "payment.canceled"
    assert user.change(user.pay(), "cancel").status == 409


@flow(Mode.TOLD, postgresql=True)
def test_money_is_given_back(shop: Shop) -> None:
    """In parts, never more than is left, then all that is left, then no more."""
    user = shop.user()
    paid = user.pay()
    part = user.change(paid, "refunds", {"amount": 1_000, "reason": "requested_by_customer"})
    assert (part.status, part.json["status"]) == (201, "succeeded"), part.body
    too_much = user.change(paid, "refunds", {"amount": 1_501})
    assert (too_much.status, too_much.json["code"]) == (409, "amount_exceeds_refundable")
    assert user.agree(paid).refunded == 1_000
    key = uuid.uuid4().hex
    rest, again = (user.change(paid, "refunds", key=key) for _ in range(2))
    assert (rest.status, rest.json["amount"]) == (201, 1_500), rest.body
    assert again.json == rest.json
    assert user.agree(paid).refunded == 2_500
    assert user.change(paid, "refunds").status == 409
    listed = user.call("GET", f"/api/payments/{paid['id']}/refunds").json["data"]
    assert [row["amount"] for row in listed] == [1_500, 1_000]


@flow(Mode.TOLD)
def test_a_refund_fails_later(shop: Shop) -> None:
    """The recipient's bank sends it back: the money can be given back once more."""
    user = shop.user()
    paid = user.pay(REFUND_FAILS)
    refund = user.change(paid, "refunds", {"amount": 700})
    assert (refund.status, refund.json["status"]) == (201, "succeeded"), refund.body
    reference = refund.json["processor_reference"]
    assert isinstance(shop.processor, Sandbox)
    shop.processor.command("decide-refund", refund=reference, status="failed")
    until(lambda: user.show(paid)["amount_refunded"] == 0, "the refund's failure", shop.tail)
    assert user.agree(paid).refunded == 0
    assert user.told(paid)[-1] == "refund.failed"


@flow(Mode.TOLD)
def test_an_authorisation_expires(shop: Shop) -> None:
    """What was not captured in time is canceled, and nothing can be captured."""
    user = shop.user()
    held = user.pay(capture_method="manual")
    assert isinstance(shop.processor, Sandbox)
    shop.processor.command("expire", payment=held["processor_reference"])
    user.wait(held, "canceled")
    assert user.change(held, "capture").status == 409


# -- what is shown ---------------------------------------------------------------------------------


@flow(Mode.TOLD)
def test_a_user_sees_their_own_payments(shop: Shop) -> None:
    """Newest first, in pages, by status; somebody else's are not there."""
    user, other = shop.user(), shop.user()
    card = user.store()["id"]
    made = [user.pay(None, payment_method_id=card)["id"] for _ in range(3)]
    open_one = user.pay(None)["id"]
    newest_first = [open_one, *reversed(made)]
    page = user.call("GET", "/api/payments?limit=3").json
    rest = user.call("GET", f"/api/payments?limit=3&cursor={page['next_cursor']}").json
    assert [row["id"] for row in (*page["data"], *rest["data"])] == newest_first
    assert rest["next_cursor"] is None
    done = user.call("GET", "/api/payments?status=succeeded").json["data"]
    assert [row["id"] for row in done] == newest_first[1:]
    assert other.call("GET", f"/api/payments/{made[0]}").status == 404
    assert other.call("GET", f"/api/payments/{made[0]}/events").status == 404


@flow(Mode.TOLD, postgresql=True)
def test_a_payment_is_followed_as_it_happens(shop: Shop) -> None:
    """The stream gives what was, then what happens next, with the numbers of the timeline."""
    user = shop.user()
    asked = user.pay(ASKS_THE_CARDHOLDER)
    with follow(f"{shop.url}/api/payments/{asked['id']}/stream", user.headers) as events:
        seen = [next(events), next(events)]
        secret = asked["next_action"]["client_secret"]
        shop.processor.authenticate(asked["processor_reference"], secret, approve=True)
        seen.append(next(events))
    assert [(event["type"], event["data"]["sequence"]) for event in seen] == [
        ("payment.created", 1),
        ("payment.requires_action", 2),
        ("payment.succeeded", 3),
    ]


# -- the books -------------------------------------------------------------------------------------


@flow(Mode.TOLD)
def test_fees_are_booked(shop: Shop) -> None:
    """The processor tells its fee after the payment (2.9 % and 30), and it comes off."""
    user = shop.user()
    paid = user.pay(currency="gbp", amount=10_000)
    until(lambda: shop.balance("processor:stripe:fees:GBP") == 320, "the fee", shop.tail)
    assert shop.balance("processor:stripe:balance:GBP") == 9_680
    assert user.show(paid)["amount_captured"] == 10_000


@flow(Mode.TOLD)
def test_a_dispute_opens_a_case(shop: Shop) -> None:
    """The money and the dispute's fee are gone, and a person is told; won, the money is back."""
    user = shop.user()
    paid = user.pay(currency="cad", amount=4_000)
    assert isinstance(shop.processor, Sandbox)
    dispute = shop.processor.command("dispute", payment=paid["processor_reference"])
    until(lambda: shop.balance("payments:disputed:CAD") == 4_000, "the dispute", shop.tail)
    assert shop.cases(paid["id"]) == {"payment_disputed"}
    shop.processor.command("close-dispute", dispute=dispute["id"], won=True)
    until(lambda: shop.balance("payments:disputed:CAD") == 0, "the money is back", shop.tail)


@flow(Mode.TOLD)
def test_the_books_balance(shop: Shop) -> None:
    """After all of the above the ledger is right, and no case is open but the dispute's."""
    shop.command("ledger", "audit")
    assert shop.cases("pay_") <= {"payment_disputed"}
    assert shop.cases("re_") == set()


# -- without webhooks, and with answers that are lost ----------------------------------------------


@flow(Mode.ASKS)
def test_a_webhook_that_never_comes_is_not_missed(shop: Shop) -> None:
    """The cardholder approves, and the payment is looked up."""
    user = shop.user()
    asked = user.pay(ASKS_THE_CARDHOLDER)
    secret = asked["next_action"]["client_secret"]
    shop.processor.authenticate(asked["processor_reference"], secret, approve=True)
    user.wait(asked, "succeeded")
    assert user.agree(asked).captured == 2_500


@flow(Mode.ASKS)
def test_a_cardholder_who_refuses_ends_the_payment(shop: Shop) -> None:
    """It fails, and its object is closed so that nobody can pay it later."""
    user = shop.user()
    asked = user.pay(ASKS_THE_CARDHOLDER)
    reference = asked["processor_reference"]
    shop.processor.authenticate(reference, asked["next_action"]["client_secret"], approve=False)
    failed = user.wait(asked, "failed")
    assert failed["failure"]["code"] == "payment_intent_authentication_failure"
    until(lambda: shop.processor.look(reference).status == "canceled", "it is closed", shop.tail)


@flow(Mode.ASKS)
def test_a_card_that_the_browser_brought_is_found(shop: Shop) -> None:
    """Without any event, by looking."""
    user = shop.user()
    bare = user.pay(None)
    shop.processor.bring(bare["processor_reference"], "pm_card_visa")
    user.wait(bare, "succeeded")
    assert user.agree(bare).captured == 2_500


@flow(Mode.ASKS)
def test_a_payment_survives_a_lost_call(shop: Shop) -> None:
    """Creating or confirming: whether the call or its answer was lost, the money is taken once."""
    user, made = shop.user(), []
    card = user.store()["id"]
    for step, arrives in product(("create", "confirm"), (True, False)):
        shop.lose(step, arrives=arrives)
        answer = user.ask(None, payment_method_id=card)
        assert (answer.status, answer.json["outcome"]) == (202, "unknown"), (step, answer.body)
        assert shop.lost_all
        made.append(answer.json)
    for payment in made:
        user.wait(payment, "succeeded")
        assert user.agree(payment).captured == 2_500
        objects = shop.processor.objects_of(payment["id"])
        assert sum(shop.processor.look(each).captured for each in objects) == 2_500


@flow(Mode.ASKS)
def test_a_lost_create_leaves_one_object(shop: Shop) -> None:
    """The repeated call has the same key, so the processor gives the same object."""
    user = shop.user()
    shop.lose("create", arrives=True)
    payment = user.ask().json
    user.wait(payment, "succeeded")
    assert len(shop.processor.objects_of(payment["id"])) == 1


@flow(Mode.ASKS)
def test_a_capture_survives_a_lost_call(shop: Shop) -> None:
    """It is looked for, and made again only if it left no trace."""
    user, held = shop.user(), []
    card = user.store()["id"]
    for arrives in (True, False):
        held.append(user.pay(None, payment_method_id=card, capture_method="manual"))
        shop.lose("capture", arrives=arrives)
        answer = user.change(held[-1], "capture")
        assert (answer.status, answer.json["outcome"]) == (202, "unknown"), answer.body
    for payment in held:
        user.wait(payment, "succeeded")
        assert user.agree(payment).captured == 2_500


@flow(Mode.ASKS)
def test_a_cancel_survives_a_lost_answer(shop: Shop) -> None:
    """What was cancelled is found cancelled."""
    user = shop.user()
    held = user.pay(capture_method="manual")
    shop.lose("cancel", arrives=True)
    answer = user.change(held, "cancel")
    assert (answer.status, answer.json["outcome"]) == (202, "unknown"), answer.body
    user.wait(held, "canceled")
    assert user.agree(held).status == "canceled"


@flow(Mode.ASKS)
def test_a_refund_survives_a_lost_answer(shop: Shop) -> None:
    """It is found among the payment's refunds by our id, and not made again."""
    user = shop.user()
    paid = user.pay()
    shop.lose("refund", arrives=True)
    answer = user.change(paid, "refunds", {"amount": 800})
    assert (answer.status, answer.json["outcome"]) == (202, "unknown"), answer.body
    until(lambda: user.show(paid)["amount_refunded"] == 800, "the refund", shop.tail)
    assert user.agree(paid).refunded == 800


# -- by the list of events -------------------------------------------------------------------------


@flow(Mode.LISTS)
def test_an_event_that_was_not_delivered_is_read_in_the_list(shop: Shop) -> None:
    """No webhook and no look-up: the processor's own list of events tells."""
    user = shop.user()
    asked = user.pay(ASKS_THE_CARDHOLDER)
    secret = asked["next_action"]["client_secret"]
    shop.processor.authenticate(asked["processor_reference"], secret, approve=True)
    user.wait(asked, "succeeded")
    assert user.agree(asked).captured == 2_500


# -- what localstripe does not play ----------------------------------------------------------------


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    alone = LocalStripe(tmp_path_factory.mktemp("alone"))
    alone.start(None)
    yield alone
    alone.stop()


@pytest.mark.parametrize("name", LIMITS)
def test_what_localstripe_does_not_play_it_does_not(localstripe: LocalStripe, name: str) -> None:
    """Each row names a flow and is still true; one that is not would hide a flow."""
    assert f"test_{name}" in FLOWS
    assert LIMITS[name].holds(localstripe)


def test_the_page_says_what_runs_where() -> None:
    """The table of the how-to is the list above, word for word."""
    shown = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    rows = {name: why for name, why in shown if f"test_{name}" in FLOWS}
    assert rows == {name: f"{limit.why}." for name, limit in LIMITS.items()}


def _customer(shop: Shop, token: str) -> Any:
    answer = shop.processor.ask("GET", f"/v1/payment_methods/{token}")
    assert answer.status == 200, answer.body
    return answer.json["customer"]


def _signed(raw: bytes, secret: str, at_s: int) -> dict[str, str]:
    mac = hmac.new(secret.encode(), f"{at_s}.".encode() + raw, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at_s},v1={mac}", "Content-Type": "application/json"}
