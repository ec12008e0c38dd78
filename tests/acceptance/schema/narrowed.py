"""What Schemathesis takes for a failure and the contract demands: operation by operation.

Each entry names one check's finding, the operations and the answer that it is about, and why. A
refusal is told by its code, so that another refusal of the same request is a failure still.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from schemathesis import Case, Response
from schemathesis.core.failures import Failure

__all__ = ["NARROWED", "Narrowed", "is_expected"]

_REJECTED, _ACCEPTED, _SERVER = "RejectedPositiveData", "AcceptedNegativeData", "ServerError"


@dataclass(frozen=True, slots=True)
class Narrowed:
    """``operations`` is matched against ``METHOD /path``; ``answer`` is a status or a code."""

    finding: str
    operations: str
    answer: str
    why: str


NARROWED = (
    Narrowed(
        _REJECTED,
        r"GET /api/(payments|payments/\{payment_id\}/(events|refunds)|ops/\w+)"
        r"|GET /api/webhook-endpoints/\{endpoint_id\}/deliveries",
        "cursor_invalid",
        "A cursor is what the page before gave; a made-up one fits the pattern and is none (B14).",
    ),
    Narrowed(
        _REJECTED,
        r"(POST|PATCH) /api/webhook-endpoints(/\{endpoint_id\})?",
        "receiver_refused",
        "Private and reserved hosts, ports and http are refused; no pattern tells them all "
        "(payments.md, Telling the client).",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/auth/(register|password)",
        "weak_password",
        "How easy a password is to guess is an estimate and no pattern (B1).",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/auth/register",
        "invalid_email",
        "The pattern is what every address has; the rest of RFC 5321 is for the verb to judge.",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/payments(/\{payment_id\}/(capture|cancel|refunds))?",
        "idempotency_key_reused",
        "What other requests had the same key is not in the document (payments.md, Idempotency).",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/payments",
        "currency_not_enabled",
        "Which currencies are on is a setting (payments.md, Limits).",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/payments",
        "not_found",
        "Which payment methods the user has is not in the document; an id in a body is 422.",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/payments(/\{payment_id\}/capture)?",
        "amount_not_allowed",
        "The maximum is per currency and a setting; a capture's is the payment's amount.",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/(payments(/\{payment_id\}/(capture|refunds))?|payment-methods)",
        "card_declined",
        "A declined card is 402 (payments.md, Payments).",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/(payments(/\{payment_id\}/(capture|cancel|refunds))?|payment-methods.*)",
        "processor_failed",
        "The processor knows no such token, or refuses for certain: 424 (payments.md, Errors).",
    ),
    Narrowed(
        _REJECTED,
        r"\w+ /api/payment(s|-methods).*",
        "card_number_refused",
        "Digits that are a plausible card number are refused wherever they stand (B6).",
    ),
    Narrowed(
        _REJECTED,
        r"\w+ /api/.*",
        "unstorable_character",
        "Text may hold no U+0000, which PostgreSQL cannot store; JSON schema would need a pattern "
        "on every string to say so.",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/webhooks/stripe",
        "The event is of the other environment.",
        "`livemode` must fit the node's key (payments.md, Webhooks in).",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/webhooks/stripe",
        "The signature is missing or does not fit the body.",
        "A bad signature is 400 (payments.md, Webhooks in); the document cannot show how to sign.",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/webhooks/stripe",
        "The event has no time.",
        "Schemathesis spells an integer as 5.0 as well, which JSON schema allows and Stripe does "
        "not do.",
    ),
    Narrowed(
        _REJECTED,
        r"POST /api/payments(/\{payment_id\}/(capture|refunds))?",
        "int_type",
        "The same spelling: an amount is an integer (payments.md), and what arrives as a fraction "
        "is not taken for money.",
    ),
    Narrowed(
        _REJECTED,
        r"POST /(new_order|orders)",
        "timestamp is not a number of seconds.",
        "A number of more than forty digits, such as 1e-268, is not read.",
    ),
    Narrowed(
        _REJECTED,
        r"POST /orders",
        "422",
        "The spec dialect is told at once what policy will not do (A3, A13).",
    ),
    Narrowed(
        _ACCEPTED,
        r"POST /tx_status",
        "200",
        "All but an unusable order id is read over: an error here can make the aggregator offer a "
        "paid order again (aggregator.md, 3.2).",
    ),
    Narrowed(
        _SERVER,
        r"POST /(tx_refund|request_authorization|new_order)",
        "501",
        "A node that only pays out answers 501 (A4); the document says so.",
    ),
)


def is_expected(failure: Failure, case: Case[Any], response: Response) -> bool:
    """Whether the contract demands what ``failure`` complains of."""
    operation = f"{case.operation.method.upper()} {case.operation.path}"
    answers = _answers(response)
    return any(
        type(failure).__name__ == each.finding
        and re.fullmatch(each.operations, operation) is not None
        and each.answer in answers
        for each in NARROWED
    )


def _answers(response: Response) -> set[str]:
    """The status, an error's code and sentence, and the code of its faults if they share it."""
    found = {str(response.status_code)}
    try:
        body: Any = json.loads(response.content)
    except ValueError:
        return found
    if not isinstance(body, dict) or response.status_code < 400:
        return found
    found |= {str(body.get(name)) for name in ("code", "detail", "message")}
    faults = {fault["code"] for fault in body.get("errors", ())}
    return found | faults if len(faults) == 1 else found
