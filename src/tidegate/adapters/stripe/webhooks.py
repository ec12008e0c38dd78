"""Stripe's events: is one authentic, and what does it prompt. Source: ``contracts/processor.md`` 5.

``Stripe-Signature: t=<Unix seconds>,v1=<hex>[,v1=<hex>]``: HMAC-SHA256 with the endpoint's secret
over ``<t>.<the bytes that arrived>``. Checked here and not by the SDK, whose check asks the
machine for the time and needs the bytes to be UTF-8. Nothing in an event is a verdict: it is a
snapshot, may be late, and prompts a look.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.adapters.stripe.reading import amount_if_readable, our_id, reference_of
from tidegate.ports.cards import CardEvent, IntentStatus, RejectedEvent, Subject

__all__ = ["TOLERANCE_S", "StripeEvents"]

TOLERANCE_S: Final = 300
"""How far ``t`` may be from our clock, either way: a replay is old, a wrong clock is ahead."""

_HEADER: Final = "stripe-signature"
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_HEADER_LENGTH_MAX: Final = 4096
_TYPE: Final = re.compile(r"[A-Za-z0-9_.]{1,100}")
_CREATED_S_MAX: Final = 10**11


class StripeEvents:
    """Reads events of one account. ``secrets`` are the endpoint's current one and those of a
    rotation; ``live`` is the environment whose events are taken. What carries the id of another
    node than ``node_id`` (none: of any) is that node's business: several may share an account."""

    def __init__(self, secrets: Sequence[str], live: bool, node_id: str | None = None) -> None:
        # An unset secret would be a key that everybody knows.
        self._secrets = [secret.encode() for secret in secrets if secret]
        self._live = live
        self._node_id = node_id

    def read(
        self, headers: Mapping[str, str], raw: bytes, now_ms: int
    ) -> CardEvent | RejectedEvent:
        """Authenticate ``raw`` at ``now_ms`` and read it; header names in any case."""
        header = next((v for k, v in headers.items() if k.lower() == _HEADER), None)
        if header is None:
            return RejectedEvent("the signature header is missing")
        time, signatures = _parts(header)
        if time is None or not signatures:
            return RejectedEvent("the signature header has no time or no signature of scheme v1")
        if not self._fits(time, signatures, raw):
            return RejectedEvent("no signature fits")
        if abs(now_ms - int(time) * 1000) > TOLERANCE_S * 1000:
            return RejectedEvent("the signature is too old, or from the future")
        return self.parse(raw)

    def parse(self, raw: bytes) -> CardEvent | RejectedEvent:
        """Read an event whose authenticity is known."""
        try:
            tree = json.loads(raw)
        except (ValueError, RecursionError):
            return RejectedEvent("the body is not JSON", authentic=True)
        if not isinstance(tree, dict):
            return RejectedEvent("the body is not a JSON object", authentic=True)
        identity, kind, created = (
            reference_of(tree.get("id")),
            tree.get("type"),
            tree.get("created"),
        )
        if identity is None or not isinstance(kind, str) or _TYPE.fullmatch(kind) is None:
            return RejectedEvent("the event has no id or no type", authentic=True)
        if type(created) is not int or not 0 <= created <= _CREATED_S_MAX:
            return RejectedEvent("the event has no time", authentic=True)
        # Anything but a clear word counts as test: it must never move live payments.
        if (tree.get("livemode") is True) is not self._live:
            return RejectedEvent("the event is of the other environment", authentic=True)
        data = tree.get("data")
        thing = data.get("object") if isinstance(data, dict) else None
        thing = thing if isinstance(thing, dict) else {}
        if self._node_id is not None and our_id(thing, "tidegate_node") not in {
            None,
            self._node_id,
        }:
            return CardEvent(identity, kind, created * 1000, Subject.OTHER)
        return _event(identity, kind, created * 1000, thing)

    def _fits(self, time: str, signatures: Sequence[str], raw: bytes) -> bool:
        message = f"{time}.".encode() + raw
        expected = [hmac.digest(secret, message, "sha256").hex() for secret in self._secrets]
        # Every pair is compared, so the time taken does not tell which one fitted.
        fits = [hmac.compare_digest(ours, given) for ours in expected for given in signatures]
        return any(fits)


def _parts(header: str) -> tuple[str | None, list[str]]:
    """The one time and the v1 signatures; other schemes are not looked at (v0 is for tests)."""
    times: list[str] = []
    signatures: list[str] = []
    for item in header[:_HEADER_LENGTH_MAX].split(","):
        name, _, value = item.strip().partition("=")
        if name == "t" and _SECONDS.fullmatch(value):
            times.append(value)
        elif name == "v1" and _HEX.fullmatch(value):
            signatures.append(value)
    return (times[0] if len(times) == 1 else None), signatures


def _event(identity: str, kind: str, created_ms: int, thing: Mapping[str, Any]) -> CardEvent:
    subject = _subject(kind)
    reference = reference_of(thing.get("id"))
    if subject is Subject.OTHER:
        return CardEvent(identity, kind, created_ms, subject, reference)
    # A charge, a refund and a dispute name the payment object; it names itself.
    is_intent = kind.startswith("payment_intent.")
    intent = reference if is_intent else reference_of(thing.get("payment_intent"))
    return CardEvent(
        id=identity,
        type=kind,
        created_ms=created_ms,
        subject=subject,
        reference=reference,
        intent=intent,
        payment_id=our_id(thing, "tidegate_payment"),
        refund_id=our_id(thing, "tidegate_refund"),
        status=_status(kind, thing),
        amount=amount_if_readable(thing) if is_intent else None,
    )


def _status(kind: str, thing: Mapping[str, Any]) -> IntentStatus | None:
    """What the event says of the payment object's status, where that is all it can tell."""
    match kind:
        case "payment_intent.succeeded":
            return IntentStatus.SUCCEEDED
        case "charge.succeeded" if thing.get("captured") is True:
            return IntentStatus.SUCCEEDED
    return None


def _subject(kind: str) -> Subject:
    if kind.startswith("charge.dispute."):
        return Subject.DISPUTE
    if kind.startswith(("refund.", "charge.refund.")):
        return Subject.REFUND
    # That the object was created is no news: we created it, and our id of it is in our own commit.
    if kind.startswith(("payment_intent.", "charge.")) and kind != "payment_intent.created":
        return Subject.PAYMENT
    return Subject.OTHER
