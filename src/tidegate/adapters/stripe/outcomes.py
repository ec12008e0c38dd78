"""How a call ended, in the words of the port. Pure. Source: ``contracts/processor.md`` 1, 7, 9.

======================================================  =========================================
answer                                                  outcome
======================================================  =========================================
2xx with the object                                     ``Found``
402, a card was declined                                ``Declined``, the intent if it came along
429, ``lock_timeout``, ``idempotency_key_in_use``,      ``NotSent``
not reached
401, 403                                                ``Refused``, misconfigured, in our words
404 ``resource_missing`` to a question                  ``Missing``
any other 4xx in Stripe's form                          ``Refused``, the intent if it came along
409 that says no more, 5xx, no readable answer          ``Unknown``
======================================================  =========================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tidegate.adapters.http import FailureKind
from tidegate.adapters.stripe.client import Said
from tidegate.adapters.stripe.reading import Unreadable, read_failure, text
from tidegate.observability import get_logger
from tidegate.ports.cards import (
    Declined,
    Failure,
    Found,
    Intent,
    Missing,
    NotSent,
    Refused,
    Unknown,
)

__all__ = ["end_of", "question", "undeclined"]

_PASSING_CODES: Final = frozenset({"idempotency_key_in_use", "lock_timeout", "rate_limit"})

_NO_MORE: Final = "The card processor refused."

_log = get_logger()


def end_of(
    said: Said,
    read: Callable[[Any], Any],
    read_intent: Callable[[Any], Intent],
) -> Found | Declined | Refused | NotSent | Unknown:
    """Say how a call ended; ``read`` turns the object of a good answer into the port's value."""
    if said.failure is not None:
        if said.failure.kind is FailureKind.NOT_REACHED:
            return NotSent(said.exchange)
        return Unknown(said.exchange)
    assert said.status is not None
    if 200 <= said.status < 300:
        try:
            return Found(read(said.tree), said.exchange)
        except Unreadable as unreadable:
            _log.warning(
                "card_answer_unreadable",
                processor=said.exchange.counterparty,
                verb=said.exchange.verb,
                why=str(unreadable),
            )
            return Unknown(said.exchange, said.replayed)
    if said.status == 429:
        return NotSent(said.exchange, said.retry_after_s)
    error = said.tree.get("error") if said.tree is not None else None
    if 400 <= said.status < 500 and isinstance(error, dict):
        return _refusal(said, said.status, error, read_intent)
    return Unknown(said.exchange, said.replayed)


def question(
    ended: Found | Declined | Refused | NotSent | Unknown,
) -> Found | Missing | Refused | NotSent | Unknown:
    """The end of asking for one object by its id."""
    ended = undeclined(ended)
    if isinstance(ended, Refused) and _is_missing(ended):
        return Missing(ended.exchange)
    return ended


def undeclined(
    ended: Found | Declined | Refused | NotSent | Unknown,
) -> Found | Refused | NotSent | Unknown:
    """The end of a call that charges no card: there a decline is a refusal like others."""
    if isinstance(ended, Declined):
        failure = ended.failure
        code = failure.decline_code or failure.code
        return Refused(code, failure.message, ended.exchange, intent=ended.intent)
    return ended


def _refusal(
    said: Said,
    status: int,
    error: Mapping[str, Any],
    read_intent: Callable[[Any], Intent],
) -> Declined | Refused | NotSent | Unknown:
    kind, code = text(error.get("type"), 128), text(error.get("code"), 128)
    if code in _PASSING_CODES or (status == 409 and kind == "idempotency_error"):
        return NotSent(said.exchange, said.retry_after_s)
    if kind is None or (status == 409 and code is None):
        # Not Stripe's form; or a conflict with a request that may be doing what we ask.
        return Unknown(said.exchange, said.replayed)
    failure = read_failure(error) or Failure(code or kind, "")
    intent = _intent(error.get("payment_intent"), read_intent)
    if status == 402 and (kind == "card_error" or code == "card_declined"):
        return Declined(failure, intent, said.exchange)
    # About our key: Stripe's sentence names accounts and the key's last characters, and what is
    # returned here reaches the payer. It stands in the exchange.
    misconfigured = status in (401, 403)
    message = None if misconfigured else text(error.get("message"), 1024)
    return Refused(
        code or kind,
        message or _NO_MORE,
        said.exchange,
        misconfigured=misconfigured,
        intent=intent,
    )


def _intent(tree: object, read_intent: Callable[[Any], Intent]) -> Intent | None:
    if tree is None:
        return None
    try:
        return read_intent(tree)
    except Unreadable:
        return None  # the refusal stands without it; the object can be fetched


def _is_missing(refused: Refused) -> bool:
    return refused.exchange.status == 404 and refused.code == "resource_missing"
