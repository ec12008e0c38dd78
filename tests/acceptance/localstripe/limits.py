"""What localstripe does not play, and the proof of it: once it does, the row must go.

The table of ``docs/how-to/stripe.md`` repeats the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.acceptance.localstripe.processors import LocalStripe

__all__ = ["LIMITS", "Limit"]

_INTENTS: Final = "/v1/payment_intents"
_VISA: Final = {"amount": 900, "currency": "eur", "payment_method": "pm_card_visa"}


@dataclass(frozen=True, slots=True)
class Limit:
    """Why a flow runs before the sandbox only. ``holds`` asks localstripe itself."""

    why: str
    holds: Callable[[LocalStripe], bool]


def _captures_all(it: LocalStripe) -> bool:
    intent = _made(it, capture_method="manual", confirm="true")
    it.ask("POST", f"{_INTENTS}/{intent}/capture", {"amount_to_capture": 500})
    seen = it.look(intent)
    return (seen.captured, seen.refunded) == (900, 400)


def _has_no_fees(it: LocalStripe) -> bool:
    intent = _made(it, confirm="true")
    booked = "expand%5B0%5D=latest_charge.balance_transaction"
    charge = it.ask("GET", f"{_INTENTS}/{intent}?{booked}").json["latest_charge"]
    return bool(charge["balance_transaction"]["fee"] == 0)


def _has_no_disputes(it: LocalStripe) -> bool:
    return it.ask("GET", "/v1/disputes").status == 404


def _ignores_keys(it: LocalStripe) -> bool:
    first, second = (it.ask("POST", _INTENTS, _VISA, "the same key") for _ in range(2))
    return bool(first.json["id"] != second.json["id"])


def _refunds_at_once(it: LocalStripe) -> bool:
    token = it.card("4242424242424242")
    intent = _made(it, payment_method=token, confirm="true")
    refund = it.ask("POST", "/v1/refunds", {"payment_intent": intent}).json
    told = it.ask("GET", "/v1/events?limit=100").json["data"]
    types = {str(event["type"]) for event in told}
    return refund["status"] == "succeeded" and not any("refund" in word for word in types)


def _never_expires(it: LocalStripe) -> bool:
    intent = _made(it, capture_method="manual", confirm="true")
    shown = it.ask("GET", f"{_INTENTS}/{intent}?expand%5B0%5D=latest_charge").json["latest_charge"]
    return "payment_method_details" not in shown  # where Stripe says `capture_before`


def _gives_no_reason(it: LocalStripe) -> bool:
    form = {**_VISA, "payment_method": "pm_card_chargeCustomerFail", "confirm": "true"}
    answer = it.ask("POST", _INTENTS, form)
    return answer.status == 402 and "decline_code" not in answer.json["error"]


def _has_no_page(it: LocalStripe) -> bool:
    intent = _made(it, payment_method=it.card("4000002500003155"))
    form = {"return_url": "https://shop.example.com/done"}
    return it.ask("POST", f"{_INTENTS}/{intent}/confirm", form).status == 400


def _made(it: LocalStripe, **more: Any) -> str:
    answer = it.ask("POST", _INTENTS, {**_VISA, **more})
    assert answer.status == 200, answer.body
    return str(answer.json["id"])


LIMITS: Final[Mapping[str, Limit]] = {
    "a_part_is_captured": Limit(
        "it shows the whole amount as captured, and the rest as a refund", _captures_all
    ),
    "fees_are_booked": Limit("every fee is 0", _has_no_fees),
    "a_dispute_opens_a_case": Limit("it has no disputes", _has_no_disputes),
    "a_lost_create_leaves_one_object": Limit(
        "it ignores idempotency keys, so the repeated call makes a second object", _ignores_keys
    ),
    "a_refund_fails_later": Limit(
        "a refund succeeds at once, and no event tells of it", _refunds_at_once
    ),
    "an_authorisation_expires": Limit("an authorisation has no end", _never_expires),
    "the_reason_of_a_decline_is_shown": Limit("a decline has no `decline_code`", _gives_no_reason),
    "the_bank_has_a_page": Limit(
        "it refuses `return_url`: 3-D Secure goes by its script only", _has_no_page
    ),
}
"""By the flow's name, without ``test_``."""
