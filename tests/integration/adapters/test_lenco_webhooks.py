"""Lenco's webhooks: who may speak, and what is heard. Source: ``contracts/psp.md`` 1.4."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from tests.integration.adapters.bank_conformance import REFERENCE
from tests.integration.adapters.lenco_play import OLD_TOKEN, TOKEN, signed, transaction
from tidegate.adapters.lenco.webhooks import LencoWebhooks, webhook_key
from tidegate.ports.bank import OutcomeKind, Rejected, WebhookEvent

HOOKS = LencoWebhooks([TOKEN, OLD_TOKEN, ""])
RAW = json.dumps(
    {"event": "transaction.successful", "data": transaction(narration="₦ \u2014 <b>")}, indent=2
).encode()


def body(event: object, **changes: object) -> bytes:
    return json.dumps({"event": event, "data": transaction(**changes)}).encode()


def read(raw: bytes) -> WebhookEvent:
    event = HOOKS.read(raw)
    assert isinstance(event, WebhookEvent), event
    return event


def test_the_key_is_hex_text() -> None:
    """The key is the 64 characters of SHA-256, not the 32 bytes."""
    assert webhook_key("token") == hashlib.sha256(b"token").hexdigest().encode()
    assert len(webhook_key("token")) == 64


def test_known_signature() -> None:
    """A signature computed step by step is accepted over the raw bytes."""
    key = hashlib.sha256(TOKEN.encode()).hexdigest().encode()
    signature = hmac.new(key, RAW, "sha512").hexdigest()
    assert HOOKS.authenticate({"x-lenco-signature": signature}, RAW) is None


def test_the_previous_token_still_signs() -> None:
    """During a rotation both keys fit; an unset previous token is no key."""
    assert HOOKS.authenticate(signed(RAW, OLD_TOKEN), RAW) is None
    assert HOOKS.authenticate(signed(RAW, ""), RAW) is not None
    assert HOOKS.authenticate(signed(RAW, "another"), RAW) is not None


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "missing"),
        ({"X-Lenco-Signature": ""}, "128 lower-case"),
        ({"X-Lenco-Signature": signed(RAW)["X-Lenco-Signature"].upper()}, "128 lower-case"),
        ({"X-Lenco-Signature": signed(RAW)["X-Lenco-Signature"] + "\n"}, "128 lower-case"),
        ({"X-Lenco-Signature": "\u0660" * 128}, "128 lower-case"),
        ({"X-Lenco-Signature": "0" * 128}, "neither"),
    ],
)
def test_refusals_have_their_reason(headers: dict[str, str], why: str) -> None:
    """The log learns which way the signature was wrong."""
    refused = HOOKS.authenticate(headers, RAW)
    assert isinstance(refused, Rejected)
    assert why in refused.why


def test_the_reserialised_form_is_refused_by_name() -> None:
    """Signed over ``JSON.stringify`` of the body: refused, and the reason says so."""
    again = json.dumps(json.loads(RAW), ensure_ascii=False, separators=(",", ":")).encode()
    refused = HOOKS.authenticate(signed(again), RAW)
    assert isinstance(refused, Rejected)
    assert "re-serialised JSON and not the bytes" in refused.why
    assert HOOKS.authenticate(signed(again), again) is None


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000])
def test_garbage_is_refused_quietly(raw: bytes) -> None:
    """A forged body of any kind is a refusal, not an exception."""
    assert isinstance(HOOKS.authenticate(signed(b"x"), raw), Rejected)


@pytest.mark.parametrize(
    ("event", "changes", "hint"),
    [
        ("transaction.successful", {}, OutcomeKind.SUCCEEDED),
        ("transaction.failed", {"status": "failed"}, OutcomeKind.FAILED),
        ("transaction.failed", {"status": "successful"}, None),
        ("transaction.successful", {"status": None}, None),
        ("transaction.successful", {"type": None}, OutcomeKind.SUCCEEDED),
    ],
)
def test_our_transfers(event: str, changes: dict[str, object], hint: OutcomeKind | None) -> None:
    """They name our reference; a hint is given only when event and status agree."""
    heard = read(body(event, **changes))
    assert (heard.reference, heard.credit_id, heard.hint) == (REFERENCE, None, hint)


def test_the_dedupe_key() -> None:
    """Event, id and status: a redelivery has the same key, a later status another."""
    assert read(RAW).dedupe_key == (
        "transaction.successful:5c7d1f5e-9a53-4e0e-8b0c-1f2a3b4c5d6e:successful"
    )
    pending = read(body("transaction.successful", status="pending"))
    assert pending.dedupe_key != read(RAW).dedupe_key
    assert read(json.dumps(json.loads(RAW)).encode()).dedupe_key == read(RAW).dedupe_key


def test_incoming_money() -> None:
    """A credit prompts a look at the PSP's id, never a payout; a failed one prompts nothing."""
    heard = read(body("transaction.successful", type="credit"))
    assert (heard.reference, heard.hint) == (None, None)
    assert heard.credit_id == "5c7d1f5e-9a53-4e0e-8b0c-1f2a3b4c5d6e"
    heard = read(body("transaction.failed", type="credit", status="failed"))
    assert (heard.reference, heard.credit_id) == (None, None)


@pytest.mark.parametrize(
    "raw",
    [
        body("account.balance-updated"),
        body("transfer.successful"),
        body("bill-payment.successful"),
        body("transaction.successful", clientReference=None),
        body("transaction.successful", clientReference="a/b"),
        body("transaction.successful", type="credit", id=".."),
        body("transaction.successful", type="credit", id=7),
        b'{"event":"transaction.successful"}',
        b'{"event":"transaction.successful","data":[1]}',
    ],
)
def test_what_does_not_concern_payouts(raw: bytes) -> None:
    """Other events, and ids that could not be ours, are heard and ignored."""
    heard = read(raw)
    assert (heard.reference, heard.credit_id, heard.hint) == (None, None, None)
    assert heard.dedupe_key


def test_events_without_id_do_not_collapse() -> None:
    """Two different events without an id have two keys."""
    one = read(b'{"event":"account.balance-updated","data":{"availableBalance":"1.00"}}')
    two = read(b'{"event":"account.balance-updated","data":{"availableBalance":"2.00"}}')
    assert one.dedupe_key != two.dedupe_key


@pytest.mark.parametrize(
    "raw", [b'{"event":7,"data":{}}', body("e" * 101), body(""), b'{"data":1}']
)
def test_unnamed_events_are_rejected(raw: bytes) -> None:
    """Without a usable event name there is nothing to read."""
    assert isinstance(HOOKS.read(raw), Rejected)
