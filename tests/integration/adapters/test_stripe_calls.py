"""What is said to Stripe, and what is kept of it (processor.md 1 to 3, 9, 11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import stripe

from tests.integration.adapters.raw import Hasty, Scripted, reply, scripted_server
from tests.integration.adapters.stripe_play import (
    API_KEY,
    CUSTOMER,
    ORDER,
    SECRET,
    SETUP,
    TEN,
    USD,
    VERBS,
    Verb,
    error,
    intent,
    listed,
    method,
    refund,
    sent,
    stripe_at,
)
from tidegate import __version__
from tidegate.adapters.stripe.client import API_VERSION
from tidegate.money.amount import Money
from tidegate.money.currency import parse_currency
from tidegate.ports.cards import Found, Missing, NotSent, Refused, Unknown


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted_server() as scripted:
        yield scripted


def test_the_pinned_version_is_the_one_that_the_sdk_was_made_for() -> None:
    assert stripe.api_version == API_VERSION


async def test_a_payment_is_created_unconfirmed_with_our_ids(server: Scripted) -> None:
    server.script(reply(intent(status="requires_confirmation", amount_received=0)))
    order = replace(ORDER, description="Two books")
    async with stripe_at(server.origin) as cards:
        assert isinstance(await cards.create(order, "tidegate:pay_1:create:1"), Found)
    heard = server.heard[0]
    assert heard.headers["idempotency-key"] == "tidegate:pay_1:create:1"
    assert heard.headers["stripe-version"] == API_VERSION
    assert heard.headers["authorization"] == f"Bearer {API_KEY}"
    assert sent(heard) == {
        "amount": "1000",
        "currency": "usd",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "capture_method": "automatic",
        "confirm": "false",
        "description": "Two books",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        "metadata[tidegate_payment]": "pay_1",
        "metadata[tidegate_node]": "node-1",
    }


async def test_each_write_says_what_it_is_for(server: Scripted) -> None:
    async with stripe_at(server.origin) as cards:
        server.script(reply(intent()))
        manual = replace(ORDER, manual_capture=True, method=None)
        await cards.create(manual, "k")
        await cards.confirm("pi_1", "k", "https://shop.test/back")
        await cards.capture("pi_1", Money(600, USD), "k")
        forms = [sent(heard) for heard in server.heard]
        server.script(reply(refund()))
        await cards.refund("pi_1", Money(400, USD), "re_ours", "duplicate", "k")
        await cards.refund("pi_1", Money(400, USD), "re_ours", "the colour was wrong", "k")
        forms += [sent(heard) for heard in server.heard]
        server.script(reply(CUSTOMER), reply(SETUP))
        await cards.create_customer("usr_1", "k")
        secret = await cards.set_up("cus_1", "k")
        assert isinstance(secret, Found)
        assert secret.value == SETUP["client_secret"]
        forms += [sent(heard) for heard in server.heard]
    assert forms[0]["capture_method"] == "manual"
    assert "payment_method" not in forms[0]
    assert forms[1] == {
        "expand[0]": "latest_charge.balance_transaction",
        "return_url": "https://shop.test/back",
    }
    assert forms[2]["amount_to_capture"] == "600"
    assert forms[3]["reason"] == "duplicate"
    assert forms[3]["metadata[tidegate_refund]"] == "re_ours"
    assert "reason" not in forms[4]
    assert forms[5]["metadata[tidegate_user]"] == "usr_1"
    assert forms[6]["allowed_payment_method_types[0]"] == "card"


async def test_amounts_travel_in_stripes_units_and_come_back_in_ours(server: Scripted) -> None:
    krona, ariary = parse_currency("ISK"), parse_currency("MGA")
    server.script(reply(intent(currency="isk", amount=500, amount_received=500)))
    async with stripe_at(server.origin) as cards:
        found = await cards.create(replace(ORDER, amount=Money(5, krona)), "k")
        assert isinstance(found, Found)
        assert sent(server.heard[0])["amount"] == "500"
        assert found.value.amount == Money(5, krona)
        server.heard.clear()
        for ended in (
            await cards.create(replace(ORDER, amount=Money(150, ariary)), "k"),
            await cards.capture("pi_1", Money(150, ariary), "k"),
            await cards.refund("pi_1", Money(150, ariary), "re_ours", None, "k"),
        ):
            assert isinstance(ended, Refused)
            assert ended.code == "invalid_amount"
            assert ended.exchange.error == "not_reached"
        assert cards.check_amount(Money(150, ariary)) is not None
        assert cards.check_amount(TEN) is None
    assert server.heard == []


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb.name} {verb.path}")
async def test_no_record_holds_a_key_a_client_secret_or_an_address(
    verb: Verb, server: Scripted
) -> None:
    bad = error(
        400,
        "invalid_request_error",
        message=f"{API_KEY} and {SECRET} at https://b.test/?payment_intent_client_secret={SECRET}",
        payment_intent=intent(),
    )
    async with stripe_at(server.origin) as cards:
        server.script(reply(verb.good))
        good_end = await verb.call(cards)
        server.script(bad)
        bad_end = await verb.call(cards)
    for ended in (good_end, bad_end):
        kept = repr(ended.exchange)
        assert API_KEY not in kept
        assert "secret_abcdefghij" not in kept
        assert "ada@example" not in kept
        assert "ada%40example" not in kept
    assert "***" in bad_end.exchange.response


async def test_nothing_about_this_machine_goes_out(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.script(reply(intent(), Request_Id="req_1", Stripe_Notice="pay attention"))
    async with stripe_at(server.origin) as cards:
        await cards.fetch("pi_1")
        await cards.confirm("pi_1", "k", None)
    assert stripe.enable_telemetry is False
    for heard in server.heard:
        assert set(heard.headers) <= {
            "host",
            "accept",
            "accept-encoding",
            "authorization",
            "content-length",
            "content-type",
            "idempotency-key",
            "stripe-version",
            "user-agent",
        }
        expected = f"Stripe/v1 PythonBindings/{stripe.VERSION} tidegate/{__version__}"
        assert heard.headers["user-agent"] == expected


async def test_detaching_again_is_a_new_request_to_stripe(server: Scripted) -> None:
    server.script(reply(method(None)))
    async with stripe_at(server.origin) as cards:
        await cards.detach("pm_1")
        await cards.detach("pm_1")
    keys = {heard.headers["idempotency-key"] for heard in server.heard}
    assert len(keys) == 2


async def test_a_movement_comes_with_the_charge_when_it_is_booked(server: Scripted) -> None:
    booked = {
        "object": "balance_transaction",
        "id": "txn_1",
        "amount": 920,
        "fee": 43,
        "currency": "eur",
    }
    charge = {"id": "ch_1", "balance_transaction": booked}
    server.script(reply(intent(latest_charge=charge)))
    async with stripe_at(server.origin) as cards:
        found = await cards.fetch("pi_1")
    assert isinstance(found, Found)
    assert found.value.movement.fee == Money(43, parse_currency("EUR"))
    assert sent(server.heard[0]) == {"expand[0]": "latest_charge.balance_transaction"}


async def test_three_d_secure_tells_the_client_how_to_go_on(server: Scripted) -> None:
    action = {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": "https://bank.test/3ds", "return_url": "https://shop.test"},
    }
    server.script(reply(intent(status="requires_action", amount_received=0, next_action=action)))
    async with stripe_at(server.origin) as cards:
        found = await cards.confirm("pi_1", "k", "https://shop.test")
    assert isinstance(found, Found)
    assert found.value.next_action == {
        **action,
        "client_secret": SECRET,
        "publishable_key": "pk_test_1",
    }


async def test_ours_is_found_behind_other_pages_and_only_by_its_metadata(
    server: Scripted,
) -> None:
    other = intent(id="pi_9", metadata={"tidegate_payment": "pay_other"})
    bare = intent(id="pi_8", metadata=None)
    server.script(reply(listed(other, bare, more=True)), reply(listed(intent())))
    async with stripe_at(server.origin) as cards:
        found = await cards.find("cus_1", "pay_1")
        assert isinstance(found, Found)
        assert found.value.reference == "pi_1"
        assert [sent(heard) for heard in server.heard] == [
            {"customer": "cus_1", "limit": "100"},
            {"customer": "cus_1", "limit": "100", "starting_after": "pi_8"},
        ]
        server.script(reply(listed(other, more=True)), reply(listed(bare)))
        assert isinstance(await cards.find("cus_1", "pay_1"), Missing)
        server.script(reply(listed()))
        assert isinstance(await cards.find_refund("pi_1", "re_ours", None), Missing)


async def test_a_list_that_breaks_off_proves_no_absence(server: Scripted) -> None:
    other = intent(id="pi_9", metadata={})
    async with stripe_at(server.origin) as cards:
        server.script(reply(listed(other, more=True)), error(500, "api_error"))
        assert isinstance(await cards.find("cus_1", "pay_1"), Unknown)
        server.script(reply(listed(other, more=True)), error(429, "rate_limit_error"))
        assert isinstance(await cards.find("cus_1", "pay_1"), NotSent)
        server.script(reply(listed(more=True)))
        assert isinstance(await cards.find("cus_1", "pay_1"), Unknown)
        server.script(reply(listed(other, more=True)))  # the same page for ever
        assert isinstance(await cards.find("cus_1", "pay_1"), Unknown)
        server.script(reply(listed(intent(status="levitating"))))
        assert isinstance(await cards.find("cus_1", "pay_1"), Unknown)


async def test_the_time_limit_is_for_all_pages_together(server: Scripted) -> None:
    class Rushing(Hasty):
        """Four seconds pass at every look."""

        def __init__(self) -> None:
            super().__init__()
            self.at = 0.0

        def monotonic(self) -> float:
            self.at += 4.0
            return self.at

    pages = [reply(listed(intent(id=f"pi_{n}", metadata={}), more=True)) for n in range(2, 9)]
    server.script(*pages)
    async with stripe_at(server.origin, timeout_s=10.0, clock=Rushing()) as cards:
        ended = await cards.find("cus_1", "pay_1")
    assert isinstance(ended, NotSent)
    assert len(server.heard) < len(pages)


async def test_events_are_listed_from_a_moment_and_read_back(server: Scripted) -> None:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "charge.updated",
        "created": 1_790_000_000,
        "livemode": False,
        "data": {"object": {"id": "ch_1", "payment_intent": "pi_1"}},
    }
    server.script(reply(listed(event, more=True)))
    async with stripe_at(server.origin) as cards:
        found = await cards.events_since(1_790_000_000_999, "evt_0")
        assert isinstance(found, Found)
        [(identity, raw)], more = found.value
        read = cards.parse_event(raw)
    assert (identity, more) == ("evt_1", True)
    assert getattr(read, "intent", None) == "pi_1"
    assert sent(server.heard[0]) == {
        "created[gte]": "1790000000",
        "limit": "100",
        "starting_after": "evt_0",
    }


async def test_a_double_that_does_not_know_a_parameter_gets_the_call_without_it(
    server: Scripted,
) -> None:
    """As localstripe says it; the key is the same, and a refusal of anything else stands."""
    unknown = error(400, "invalid_request_error", message="Unexpected automatic_payment_methods")
    async with stripe_at(server.origin) as cards:
        server.script(unknown, reply(intent()))
        assert isinstance(await cards.create(ORDER, "k"), Found)
        again = server.heard
        assert [heard.headers["idempotency-key"] for heard in again] == ["k", "k"]
        assert not any(name.startswith("automatic") for name in sent(again[1]))
        server.script(error(400, "invalid_request_error", message="Unexpected return_url"))
        assert isinstance(await cards.confirm("pi_1", "k", "https://shop.test"), Refused)
        assert [sent(heard).get("return_url") for heard in server.heard] == [
            "https://shop.test",
            None,
        ]
        server.script(unknown, error(400, "idempotency_error"))
        first = await cards.create(ORDER, "k")
        assert isinstance(first, Refused)
        assert first.code == "invalid_request_error"
        server.script(error(400, "invalid_request_error", message="No such customer"))
        assert isinstance(await cards.create(ORDER, "k"), Refused)
        assert len(server.heard) == 1
