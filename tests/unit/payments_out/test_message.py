"""The bytes that are signed, and the vault that keeps the secrets."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from standardwebhooks import Webhook

from tidegate.clock import SystemClock
from tidegate.db.vault import Vault
from tidegate.errors import ConfigurationError
from tidegate.payments.deliver_message import body_of, headers_of

_EVENT = {
    "id": "evt_1",
    "seq": 4,
    "type": "payment.failed",
    "at": 1_728_201_600_123,
    "data": {"id": "pay_1", "description": "Ünïcode ✓", "metadata": {}},
}
_OLD, _NEW = (f"whsec_{b64encode(text * 8).decode()}" for text in (b"old!", b"new!"))


def test_the_payload_is_type_timestamp_and_data_with_the_sequence() -> None:
    assert json.loads(body_of(_EVENT)) == {
        "type": "payment.failed",
        "timestamp": "2024-10-06T08:00:00.123Z",
        "data": {**_EVENT["data"], "sequence": 4},  # type: ignore[dict-item]  # it is a dict
    }


def test_any_of_several_secrets_verifies_and_no_other() -> None:
    """With the receivers' own library, which also looks at the time."""
    body = body_of(_EVENT)
    headers = headers_of("evt_1", body, [_NEW, _OLD], SystemClock().now_ms())
    for secret in (_OLD, _NEW):
        assert Webhook(secret).verify(body.encode(), headers) == json.loads(body)
    other = Webhook(f"whsec_{b64encode(b'none' * 8).decode()}")
    with pytest.raises(Exception, match="No matching signature"):
        other.verify(body.encode(), headers)
    assert [part[:3] for part in headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]


def test_every_try_has_the_id_of_the_event_and_its_own_time() -> None:
    body = body_of(_EVENT)
    first, second = (headers_of("evt_1", body, [_NEW], at) for at in (1_000_999, 61_000_000))
    assert first["webhook-id"] == second["webhook-id"] == "evt_1"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000", "61000")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_the_vault_reads_what_an_earlier_key_wrote_and_writes_under_the_current() -> None:
    before = Vault("the first key").encrypt(_OLD)
    rotated = Vault("the second key", ["the first key"])
    assert rotated.decrypt(before) == _OLD
    after = rotated.encrypt(_OLD)
    assert (rotated.is_current(before), rotated.is_current(after)) == (False, True)
    assert Vault("the second key").decrypt(after) == _OLD
    with pytest.raises(ConfigurationError):
        Vault("the second key").decrypt(before)


def test_the_vault_tells_nothing_and_notices_changes() -> None:
    vault = Vault("a key")
    token = vault.encrypt("whsec_secret")
    assert "secret" not in token
    assert vault.encrypt("whsec_secret") != token
    for broken in (token[:-4], token[:20] + ("A" if token[20] != "A" else "B") + token[21:], ""):
        with pytest.raises(ConfigurationError):
            vault.decrypt(broken)
