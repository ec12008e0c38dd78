"""What logs and stored exchanges may hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from tidegate.observability.redaction import (
    Sort,
    initials,
    last_four,
    redact_event,
    redact_exchange,
    sort_of,
)


def logged(**event: Any) -> dict[str, Any]:
    result = redact_event(None, "info", event)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize(
    ("key", "sort"),
    [
        ("authorization", Sort.SECRET),
        ("Authorization", Sort.SECRET),
        ("X-Request-Signature", Sort.SECRET),
        ("x-lenco-signature", Sort.SECRET),
        ("secretKey", Sort.SECRET),
        ("AGGREGATOR_SECRET_KEY_PREVIOUS", Sort.SECRET),
        ("lenco_api_key", Sort.SECRET),
        ("LENCO_API_KEY_PREVIOUS", Sort.SECRET),
        ("access_token", Sort.SECRET),
        ("Set-Cookie", Sort.SECRET),
        ("clientSecret", Sort.SECRET),
        ("password", Sort.SECRET),
        ("accountNumber", Sort.ACCOUNT),
        ("account_identifier", Sort.ACCOUNT),
        ("phone", Sort.ACCOUNT),
        ("accountName", Sort.NAME),
        ("recipient", Sort.NAME),
        ("email", Sort.PERSONAL),
        ("memo", Sort.PERSONAL),
        ("reasonForFailure", Sort.FREE_TEXT),
        ("order_id", None),
        ("idempotency_key", None),
        ("accountId", None),
        ("bankCode", None),
        ("tokenAmount", None),
        ("currency", None),
        ("author", None),
        ("spinning", None),
    ],
)
def test_keys_are_judged_however_they_are_spelled(key: str, sort: Sort | None) -> None:
    """Camel case, hyphens and capitals are one spelling; parts of words are no words."""
    assert sort_of(key) is sort


def test_logs_lose_secrets_names_and_accounts() -> None:
    """In logs nothing of them remains; ids and amounts do."""
    assert logged(
        event="payout_sent",
        order_id="3fa85f64-5717-4562-b3fc-2c963f66afa6",
        amount=7537500,
        account_number="0123456789",
        recipient={"accountName": "ADA OBI", "institution": "ABNGNGLA", "accountIdentifier": 12},
        headers={"Authorization": "HMAC me:abcdef", "Accept": "application/json"},
        api_key=SecretStr("x"),
    ) == {
        "event": "payout_sent",
        "order_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "amount": 7537500,
        "account_number": "***",
        "recipient": {
            "accountName": "***",
            "institution": "ABNGNGLA",
            "accountIdentifier": "***",
        },
        "headers": {"Authorization": "***", "Accept": "application/json"},
        "api_key": "***",
    }


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("sent Bearer abcdefghijklmnopqrst", "sent Bearer ***"),
        ("HMAC me-1:0fc86015677d49e6 refused", "HMAC me-1:*** refused"),
        ("key sk_live_0123456789abcdef", "key ***"),
        ("postgresql://me:word@db/x is down", "postgresql://me:***@db/x is down"),
        ("GET /resolve?accountNumber=0123456789&bankCode=000014", None),
        ("card 4242 4242 4242 4242", "card [card]"),
        ("boom [parameters: ('ADA OBI', '0123456789')]", "boom [parameters: ***]"),
        ("basic information about an order", "basic information about an order"),
        ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "3fa85f64-5717-4562-b3fc-2c963f66afa6"),
    ],
)
def test_running_text_is_searched_for_what_gives_itself_away(text: str, after: str | None) -> None:
    """Whatever the key: tokens, passwords in URLs, query parameters, card numbers."""
    after = after or "GET /resolve?accountNumber=***&bankCode=000014"
    assert logged(event=text)["event"] == after
    assert logged(event="x", note=[text])["note"] == [after]


def test_free_text_loses_long_digits() -> None:
    """A PSP's sentence may repeat the account number."""
    assert logged(event="x", reason="account 0123456789 is closed")["reason"] == (
        "account *** is closed"
    )
    stored = redact_exchange({"message": "account 0123456789 is closed"})
    assert stored == {"message": "account ***6789 is closed"}


def test_values_without_a_spelling_are_named_by_kind() -> None:
    """A row's or a message's repr would tell everything in it."""

    @dataclass
    class Recipient:
        name: str

    event = logged(
        event="x",
        row=Recipient("ADA OBI"),
        problem=ValueError("token=abc account 0123456789"),
        when=datetime(2026, 11, 21, tzinfo=UTC),
        order=UUID(int=1),
        amount=Decimal("10.00"),
        done=True,
        card=4242424242424242,
    )
    assert event == {
        "event": "x",
        "row": "<Recipient>",
        "problem": "ValueError: token=*** account ***",
        "when": "2026-11-21 00:00:00+00:00",
        "order": "00000000-0000-0000-0000-000000000001",
        "amount": "10.00",
        "done": True,
        "card": "[card]",
    }


def test_what_only_looks_delicate_stays() -> None:
    """A crypto token's symbol, a bank's name and a ledger account's path are no secrets."""
    assert redact_exchange(
        {"token": "USDT", "bank": {"code": "000014", "name": "ACCESS BANK"}}
    ) == {
        "token": "USDT",
        "bank": {"code": "000014", "name": "ACCESS BANK"},
    }
    assert redact_exchange({"data": [{"code": "000014", "name": "ACCESS BANK"}]}) == {
        "data": [{"code": "000014", "name": "ACCESS BANK"}]
    }
    assert logged(event="x", account="float:lenco:NGN:available")["account"].startswith("float:")
    assert redact_exchange({"token": "0b5f-secret"}) == {"token": "***"}
    assert redact_exchange({"name": "ADA OBI"}) == {"name": "A. O."}


def test_exchanges_keep_enough_to_compare() -> None:
    """The last four digits and the initials remain; number tokens stay as they were."""
    body = json.dumps(
        {
            "accountId": "0a1b2c3d-0000-4000-8000-000000000001",
            "accountNumber": "8144374977",
            "bankCode": "000014",
            "amount": "2000.00",
            "narration": "order 12",
            "details": {"accountName": "ADA B OBI", "bank": {"code": "1", "name": "ACCESS"}},
        }
    )
    kept = redact_exchange({"headers": [["Authorization", "Bearer x"]], "body": body.encode()})
    assert kept["headers"] == [["Authorization", "***"]]
    assert json.loads(kept["body"]) == {
        "accountId": "0a1b2c3d-0000-4000-8000-000000000001",
        "accountNumber": "***4977",
        "bankCode": "000014",
        "amount": "2000.00",
        "narration": "order 12",
        "details": {"accountName": "A. B. O.", "bank": {"code": "1", "name": "ACCESS"}},
    }


def test_number_tokens_survive() -> None:
    """Stored evidence of money is not rounded or respelled on its way."""
    text = '{"amount":2000.10,"big":12345678901234567890.000000001,"small":1e-7,"n":42}'
    assert redact_exchange(text) == text


def test_the_answer_to_a_name_enquiry_is_a_bare_name() -> None:
    """aggregator.md 3.3: ``data`` is a plain string."""
    answer = '{"status":"success","message":"OK","data":"JOHN A DOE"}'
    assert json.loads(redact_exchange(answer))["data"] == "J. A. D."


def test_a_query_is_redacted_by_its_names() -> None:
    """Lenco v1 asks for a name with the account number in the address."""
    assert (
        redact_exchange("/resolve?accountNumber=0123456789&bankCode=000014")
        == "/resolve?accountNumber=***6789&bankCode=000014"
    )


@pytest.mark.parametrize("text", ['{"accountNumber":"01234', "[1,2", "[" * 100_000])
def test_broken_json_is_not_kept(text: str) -> None:
    """What cannot be judged by key is described by its length."""
    assert redact_exchange(text) == f"[unreadable, {len(text)} characters]"


def test_deep_nesting_ends() -> None:
    """Beyond a depth nothing is looked at, so nothing is shown."""
    nested: Any = "0123456789"
    for _ in range(50):
        nested = {"x": nested}
    assert "0123456789" not in json.dumps(redact_exchange(nested))


def test_the_original_is_untouched() -> None:
    """The caller goes on with the real values."""
    original = {"accountNumber": "8144374977", "list": [{"email": "a@b.example"}]}
    redact_exchange(original)
    assert original == {"accountNumber": "8144374977", "list": [{"email": "a@b.example"}]}


def test_short_forms() -> None:
    """A short account number vanishes, a name becomes its initials."""
    assert last_four("1234567") == "***"
    assert last_four("12345678") == "***5678"
    assert initials("  ada   obi ") == "a. o."
