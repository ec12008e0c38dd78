"""Every verb through every end that a call can have, over HTTP (processor.md 1, 7, 9)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from tests.integration.adapters.raw import Reply, Scripted, reply, scripted_server
from tests.integration.adapters.stripe_play import (
    VERBS,
    Verb,
    error,
    intent,
    method,
    stripe_at,
)
from tidegate.ports.cards import (
    Declined,
    Failure,
    Found,
    IntentStatus,
    Missing,
    NotSent,
    Refused,
    Unknown,
)

every_verb = pytest.mark.parametrize(
    "verb", VERBS, ids=lambda verb: f"{verb.name} {verb.http_method} {verb.path}"
)


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted_server() as scripted:
        yield scripted


@every_verb
async def test_a_good_answer_is_found_and_on_record(verb: Verb, server: Scripted) -> None:
    server.script(reply(verb.good))
    async with stripe_at(server.origin) as cards:
        found = await verb.call(cards)
    assert isinstance(found, Found)
    heard = server.heard[0]
    assert (heard.method, heard.path) == (verb.http_method, verb.path)
    assert (heard.headers.get("idempotency-key") == "k") is (
        verb.key and verb.http_method == "POST"
    )
    exchange = found.exchange
    assert (exchange.counterparty, exchange.verb) == ("stripe", verb.name)
    assert (exchange.method, exchange.status, exchange.error) == (verb.http_method, 200, None)
    assert exchange.path.split("?")[0] == verb.path


@every_verb
async def test_a_decline_is_told_as_one_where_a_card_is_charged(
    verb: Verb, server: Scripted
) -> None:
    error_intent = intent(status="requires_payment_method", amount_received=0)
    server.script(
        error(
            402,
            "card_error",
            "card_declined",
            decline_code="insufficient_funds",
            payment_intent=error_intent,
        )
    )
    async with stripe_at(server.origin) as cards:
        ended = await verb.call(cards)
    if not verb.declines:
        assert isinstance(ended, Refused)
        return
    assert isinstance(ended, Declined)
    assert ended.failure == Failure("card_declined", "As it is.", "insufficient_funds")
    assert ended.intent is not None
    assert ended.intent.status is IntentStatus.REQUIRES_PAYMENT_METHOD


@every_verb
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (error(400, "invalid_request_error", "amount_too_large"), "amount_too_large"),
        (error(400, "invalid_request_error"), "invalid_request_error"),
        (error(400, "idempotency_error"), "idempotency_error"),
        (error(404, "invalid_request_error"), "invalid_request_error"),
        (error(401, "invalid_request_error"), "invalid_request_error"),
        (error(403, "invalid_request_error", "more_permissions"), "more_permissions"),
    ],
)
async def test_a_refusal_is_certain_and_401_and_403_are_ours(
    verb: Verb, server: Scripted, answer: Reply, code: str
) -> None:
    server.script(answer)
    async with stripe_at(server.origin) as cards:
        ended = await verb.call(cards)
    assert isinstance(ended, Refused)
    ours = answer.status in (401, 403)
    assert (ended.code, ended.misconfigured) == (code, ours)
    assert ended.message == ("The card processor refused." if ours else "As it is.")


@every_verb
@pytest.mark.parametrize("status", [401, 403])
async def test_what_stripe_says_about_our_key_stays_in_the_exchange(
    verb: Verb, server: Scripted, status: int
) -> None:
    """The message of a refusal reaches the payer; this one names the key and the account."""
    sentence = "The key 'sk_test_***4Qx9' has no access to account 'acct_1Lx7'."
    body = {"error": {"type": "invalid_request_error", "message": sentence}}
    server.script(reply(body, status))
    async with stripe_at(server.origin) as cards:
        ended = await verb.call(cards)
    assert isinstance(ended, Refused)
    assert ended.message == "The card processor refused."
    assert "acct_1Lx7" in ended.exchange.response


@every_verb
async def test_only_a_question_by_id_can_be_answered_with_missing(
    verb: Verb, server: Scripted
) -> None:
    server.script(error(404, "invalid_request_error", "resource_missing"))
    async with stripe_at(server.origin) as cards:
        ended = await verb.call(cards)
    assert isinstance(ended, Missing) is verb.asks


@every_verb
@pytest.mark.parametrize(
    "answer",
    [
        error(429, "rate_limit_error"),
        error(429, "invalid_request_error", "lock_timeout"),
        error(400, "invalid_request_error", "lock_timeout"),
        error(409, "idempotency_error", "idempotency_key_in_use"),
        error(409, "idempotency_error"),
        error(400, "invalid_request_error", "rate_limit"),
        Reply(429, b"<html>slow down</html>"),
    ],
)
async def test_what_did_not_begin_may_be_sent_again(
    verb: Verb, server: Scripted, answer: Reply
) -> None:
    server.script(Reply(answer.status, answer.body, {"Retry-After": "7"}))
    async with stripe_at(server.origin) as cards:
        ended = await verb.call(cards)
    assert isinstance(ended, NotSent)
    assert ended.retry_after_s == 7.0
    assert len(server.heard) == 1


@every_verb
@pytest.mark.parametrize(
    "answer",
    [
        error(500, "api_error"),
        error(503, "api_error", "lock_timeout"),
        error(409, "invalid_request_error"),
        Reply(400, b"<html>proxy</html>"),
        Reply(404, b"Not Found"),
        Reply(400, b'{"error": "invalid_grant"}'),
        Reply(400, b'{"error": ["x"]}'),
        Reply(400, b'{"error": {}}'),
        Reply(200, b"<html>captive portal</html>"),
        Reply(200, b"[]"),
        Reply(200, b"{}"),
        Reply(200, b"[" * 50_000),
        Reply(200, b""),
        Reply(302, b"", {"Location": "/elsewhere"}),
        Reply(drop=True),
    ],
)
async def test_anything_else_leaves_it_unknown_after_one_try(
    verb: Verb, server: Scripted, answer: Reply
) -> None:
    server.script(answer)
    async with stripe_at(server.origin) as cards:
        ended = await verb.call(cards)
    assert isinstance(ended, Unknown)
    assert not ended.replayed
    assert len(server.heard) == 1
    assert ended.exchange.error == ("unknown" if answer.drop else None)


@every_verb
async def test_a_replayed_failure_says_that_it_is_one(verb: Verb, server: Scripted) -> None:
    answer = error(500, "api_error")
    server.script(Reply(500, answer.body, {"Idempotent-Replayed": "true"}))
    async with stripe_at(server.origin) as cards:
        ended = await verb.call(cards)
    # A list is never replayed, so there the word has no meaning; elsewhere it must come through.
    assert isinstance(ended, Unknown)
    assert ended.replayed


@every_verb
async def test_silence_is_unknown_when_the_time_is_over(verb: Verb, server: Scripted) -> None:
    server.script(Reply(200, json.dumps(verb.good).encode(), delay_s=30.0))
    async with stripe_at(server.origin, timeout_s=0.1) as cards:
        async with asyncio.timeout(25):
            ended = await verb.call(cards)
    assert isinstance(ended, Unknown)
    assert ended.exchange.error == "unknown"


@every_verb
async def test_a_refused_connection_proves_that_nothing_was_sent(verb: Verb) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening
        async with stripe_at(f"http://127.0.0.1:{taken.getsockname()[1]}") as cards:
            ended = await verb.call(cards)
    assert isinstance(ended, NotSent)
    assert (ended.exchange.status, ended.exchange.error) == (None, "not_reached")


async def test_a_failed_tls_handshake_proves_it_too(server: Scripted) -> None:
    async with stripe_at(server.origin.replace("http:", "https:")) as cards:
        ended = await cards.confirm("pi_1", "k", None)
    assert isinstance(ended, NotSent)
    assert server.heard == []


@pytest.mark.parametrize("name", ["confirm", "capture", "fetch", "cancel"])
async def test_an_answer_about_another_payment_says_nothing_about_this_one(
    name: str, server: Scripted
) -> None:
    verb = next(verb for verb in VERBS if verb.name == name)
    server.script(reply({**verb.good, "id": "pi_2"}))
    async with stripe_at(server.origin) as cards:
        assert isinstance(await verb.call(cards), Unknown)


async def test_a_wrong_state_comes_with_the_payment(server: Scripted) -> None:
    server.script(
        error(
            400,
            "invalid_request_error",
            "payment_intent_unexpected_state",
            payment_intent=intent(status="processing", amount_received=0),
        )
    )
    async with stripe_at(server.origin) as cards:
        for ended in (
            await cards.confirm("pi_1", "k", "https://shop.test/back"),
            await cards.cancel("pi_1", "k"),
        ):
            assert isinstance(ended, Refused)
            assert ended.intent is not None
            assert ended.intent.status is IntentStatus.PROCESSING
    assert len(server.heard) == 2


async def test_cancelling_what_is_canceled_is_found(server: Scripted) -> None:
    canceled = intent(status="canceled", amount_received=0, cancellation_reason="abandoned")
    server.script(
        error(
            400,
            "invalid_request_error",
            "payment_intent_unexpected_state",
            payment_intent=canceled,
        )
    )
    async with stripe_at(server.origin) as cards:
        ended = await cards.cancel("pi_1", "k")
    assert isinstance(ended, Found)
    assert ended.value.cancellation_reason == "abandoned"


async def test_a_token_that_is_attached_already_is_found_where_it_belongs(
    server: Scripted,
) -> None:
    refused = error(400, "invalid_request_error", "payment_method_unexpected_state")
    async with stripe_at(server.origin) as cards:
        server.script(refused, reply(method("cus_1")))
        assert isinstance(await cards.attach("pm_1", "cus_1", "k"), Found)
        server.script(refused, reply(method("cus_other")))
        other = await cards.attach("pm_1", "cus_1", "k")
        assert isinstance(other, Refused)
        assert other.code == "payment_method_unexpected_state"
        server.script(refused, error(500, "api_error"))
        assert isinstance(await cards.attach("pm_1", "cus_1", "k"), Unknown)
        server.script(refused, reply(method(None)))
        assert isinstance(await cards.detach("pm_1"), Found)
        server.script(refused, reply(method("cus_1")))
        assert isinstance(await cards.detach("pm_1"), Refused)
    assert [heard.method for heard in server.heard] == ["POST", "GET"]


async def test_a_call_that_is_cancelled_leaves_the_next_one_whole(server: Scripted) -> None:
    server.script(Reply(delay_s=30.0), reply(intent()))
    async with stripe_at(server.origin) as cards:
        call = asyncio.create_task(cards.confirm("pi_1", "k", None))
        while not server.heard:  # noqa: ASYNC110 -- the server tells nobody
            await asyncio.sleep(0.005)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert isinstance(await cards.fetch("pi_1"), Found)


async def test_calls_at_once_keep_their_own_record(server: Scripted) -> None:
    server.script(reply(intent()))
    async with stripe_at(server.origin) as cards:
        ended = await asyncio.gather(
            cards.fetch("pi_1"), cards.confirm("pi_1", "k", None), cards.fetch("pi_1")
        )
    assert [one.exchange.verb for one in ended] == ["fetch", "confirm", "fetch"]
