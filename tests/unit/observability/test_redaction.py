"""What logs and stored exchanges may hold."""

from __future__ import annotations

import json
import time
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


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (
            "confirm pi_3Pabc0123_secret_Xy0Zzz now",
            "confirm pi_3Pabc0123_secret_*** now",
        ),
        ("pi_3Pabc0123_secret_Xy0Zzz", "pi_3Pabc0123_secret_***"),
        ("seti_1Nabc_secret_Oabc", "seti_1Nabc_secret_***"),
        ('got {"client_secret": "abc", "id": "x1"} back', None),
        ("got {'password': 'it\\'s', 'id': 'x1'} back", "got {'password': '***', 'id': 'x1'} back"),
        (
            'got "{\\"api_key\\": \\"abc\\", \\"id\\": 1}"',
            'got "{\\"api_key\\": \\"***\\", \\"id\\": 1}"',
        ),
        ("got {'accountNumber': 123456, 'pin': 12}", "got {'accountNumber': ***, 'pin': ***}"),
        ("token: abc-def, then more", "token: ***, then more"),
        ("password:word", "password:***"),
        ("Authorization: Basic YTpi\nAccept: */*", "Authorization: ***\nAccept: */*"),
        ("Cookie: a=b; tidegate=c", "Cookie: ***"),
        ("Foo(password='word') failed", "Foo(password=*** failed"),
        ("see http://h/x?next=y?token=word", "see http://h/x?next=y?token=***"),
        ("mail to Ada.Obi+1@mail.example.com, please", "mail to ***, please"),
        ("postgresql://u:p@ss@h/db is down", "postgresql://u:***@h/db is down"),
        ("postgresql://u:p@s:s@h:5432/db", "postgresql://u:***@h:5432/db"),
    ],
)
def test_names_in_running_text_announce_their_values(text: str, after: str | None) -> None:
    """As JSON, as a dict's repr, as prose, as a call; with the looks of client secrets, e-mail
    addresses and passwords that hold an "@"."""
    after = after or 'got {"client_secret": "***", "id": "x1"} back'
    assert logged(event=text)["event"] == after
    assert logged(event="x", problem=ValueError(text))["problem"] == f"ValueError: {after}"


@pytest.mark.parametrize(
    "text",
    [
        "order 12 is at 10:30:05: reason: none",
        "reason: the name: of a bank",
        "account: float:lenco:NGN:available",
        "{'token': 'USDT', 'password': None}",
        "stripe_webhook_secret_previous",
        "at http://127.0.0.1:8000/health",
        "two @ three",
        "file.py:12: in find",
        "pi_3Pabc0123 has no secret",
    ],
)
def test_ordinary_sentences_stay(text: str) -> None:
    assert logged(event=text)["event"] == text


def test_exchanges_keep_what_can_be_compared_in_running_text_too() -> None:
    """The last four digits behind a name; e-mail addresses stay in sentences, as evidence."""
    assert redact_exchange('said {"accountNumber": "0123456789"}') == (
        'said {"accountNumber": "***6789"}'
    )
    assert redact_exchange("/x?reason=account+0123456789+closed") == (
        "/x?reason=account%20***6789%20closed"
    )
    kept = redact_exchange({"payment_intent": "pi_1a_secret_2b", "message": "pi_1a_secret_2b"})
    assert kept == {"payment_intent": "pi_1a_secret_***", "message": "pi_1a_secret_***"}


@pytest.mark.parametrize(
    "piece",
    [
        "a.",
        "eyJaaaaaaaa-",
        "error=",
        "error=(",
        "?error=",
        "'error':\"",
        "a@",
        "a.a@a.",
        "pi_",
        "1 ",
        "4 ",
        "6 ",
        "token: ",
        "http://",
        "://a:b",
        'x": "',
        '\\"',
        "sk_",
        "4242\u00a0",
    ],
)
def test_no_text_hangs_the_service(piece: str) -> None:
    """Callers choose what is logged: 64 KiB of anything end, and nothing recurses.

    A pattern that reads a text again from each of its places takes many minutes for some of these;
    how fast the others are is not for a test.
    """
    text = f"://@ sk_ {piece * (65_536 // len(piece))}"
    began = time.process_time()
    logged(event=text)
    redact_exchange({"message": text})
    assert time.process_time() - began < 60


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
