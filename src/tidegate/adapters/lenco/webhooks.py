"""Lenco's webhooks: is it authentic, and what does it prompt. Source: ``contracts/psp.md`` 1.4.

The signature is over the bytes that arrived. There is neither time nor nonce in it, so anything
here may be a replay, and nothing here is a verdict: the reader looks the transfer up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.observability import get_logger
from tidegate.ports.bank import OutcomeKind, Rejected, WebhookEvent
from tidegate.wire.fields import read_rfc3339

__all__ = ["LencoWebhooks", "webhook_key"]

_HEADER: Final = "x-lenco-signature"
_HEX: Final = re.compile(r"[0-9a-f]{128}")
_ID: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,100}")
_EVENT_LENGTH_MAX: Final = 100

# Event -> (the status it must carry, what it hints at).
_TRANSFERS: Final = {
    "transaction.successful": ("successful", OutcomeKind.SUCCEEDED),
    "transaction.failed": ("failed", OutcomeKind.FAILED),
}

_log = get_logger()


def webhook_key(api_key: str) -> bytes:
    """The key of the webhook HMAC: the hex *text* of SHA-256 of the token, as ASCII."""
    return hashlib.sha256(api_key.encode()).hexdigest().encode()


class LencoWebhooks:
    """Checks against every token that may still sign: the current one and those of a rotation."""

    def __init__(self, api_keys: Sequence[str]) -> None:
        # An unset previous token would be a key that everybody can compute.
        self._keys = [webhook_key(api_key) for api_key in api_keys if api_key]

    def authenticate(self, headers: Mapping[str, str], raw: bytes) -> Rejected | None:
        """``None`` if ``X-Lenco-Signature`` fits ``raw``; header names in any case."""
        signature = next((v for k, v in headers.items() if k.lower() == _HEADER), None)
        if signature is None:
            return Rejected("the signature header is missing")
        if _HEX.fullmatch(signature) is None:
            return Rejected("the signature is not 128 lower-case hex digits")
        if self._fits(signature, raw):
            return None
        if self._fits_reserialised(signature, raw):
            why = "the signature fits the re-serialised JSON and not the bytes that arrived"
        else:
            why = "the signature fits neither the bytes nor the re-serialised JSON"
        _log.warning("webhook_signature_refused", psp="lenco", why=why, size=len(raw))
        return Rejected(why)

    def read(self, raw: bytes) -> WebhookEvent | Rejected:
        """Read an authentic webhook; events that do not concern payouts carry neither id."""
        try:
            tree = json.loads(raw)
        except (ValueError, RecursionError):
            return Rejected("the body is not JSON")
        if not isinstance(tree, dict):
            return Rejected("the body is not a JSON object")
        event, data = tree.get("event"), tree.get("data")
        if not isinstance(event, str) or not event or len(event) > _EVENT_LENGTH_MAX:
            return Rejected("the event is not named")
        if not isinstance(data, dict):
            data = {}
        return _event(event, data, raw)

    def _fits(self, signature: str, message: bytes) -> bool:
        given = signature.encode()
        # Every key is tried, so the time taken does not tell which one fitted.
        fits = [
            hmac.compare_digest(hmac.digest(key, message, "sha512").hex().encode(), given)
            for key in self._keys
        ]
        return any(fits)

    def _fits_reserialised(self, signature: str, raw: bytes) -> bool:
        try:
            tree = json.loads(raw, parse_float=_javascript_number)
            again = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
        except (ValueError, RecursionError):
            return False
        return again != raw and self._fits(signature, again)


def _event(event: str, data: Mapping[str, Any], raw: bytes) -> WebhookEvent:
    psp_id, status = data.get("id"), data.get("status")
    identity = psp_id if _is_id(psp_id) else hashlib.sha256(raw).hexdigest()
    state = status if isinstance(status, str) and len(status) <= _EVENT_LENGTH_MAX else ""
    key = f"{event}:{identity}:{state}"
    if event not in _TRANSFERS:
        return WebhookEvent(event, key)
    expected, hint = _TRANSFERS[event]
    if data.get("type") == "credit":
        arrived = event == "transaction.successful" and _is_id(psp_id)
        return WebhookEvent(event, key, credit_id=psp_id if arrived else None)
    reference = data.get("clientReference")
    if not _is_id(reference):
        return WebhookEvent(event, key)
    ended = data.get("completedAt") or data.get("failedAt")
    return WebhookEvent(
        event,
        key,
        reference=reference,
        hint=hint if state == expected else None,
        ended_ms=read_rfc3339(ended) if isinstance(ended, str) else None,
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _javascript_number(token: str) -> float | int:
    number = float(token)
    return int(number) if number.is_integer() else number
