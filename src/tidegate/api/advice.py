"""What to do about each error, by its code; a test finds the code without advice."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["ADVICE", "Advice", "Retry"]


class Retry(StrEnum):
    """Whether the same request may be sent again, in the words of the catalogue."""

    SAFE = "Yes, unchanged, after the time that `Retry-After` tells."
    SAME_KEY = "Yes, unchanged and with the same Idempotency-Key."
    CHANGED = "Only when changed: the same request meets the same answer."
    NEW_SESSION = "Yes, with a new access token."
    NEW_KEY = "As a new wish: with a new Idempotency-Key, and changed."
    ROUND = "A new offer of the same order is decided anew."
    NONE = "There is nothing to repeat."


class Advice(NamedTuple):
    """The next step of whoever met the error, and whether repeating is safe."""

    next: str
    retry: Retry


ADVICE: Final[Mapping[str, Advice]] = {
    "internal_error": Advice(
        "Repeat the request, and give the request id to the operator if it fails again.",
        Retry.SAME_KEY,
    ),
    "configuration_invalid": Advice(
        "Correct every fault that the message lists; `tidegate doctor` checks the rest.",
        Retry.NONE,
    ),
    "bad_input": Advice("Compare the request with the documentation.", Retry.CHANGED),
    "unreadable_body": Advice(
        "Send one JSON object in UTF-8, each member once, without NaN or Infinity.", Retry.CHANGED
    ),
    "body_too_large": Advice("Send less than 64 KiB.", Retry.CHANGED),
    "unsupported_media_type": Advice(
        "Set `Content-Type: application/json`; the token endpoint alone takes a form.",
        Retry.CHANGED,
    ),
    "method_not_allowed": Advice("Use a method that the header `Allow` names.", Retry.CHANGED),
    "INVALID_AMOUNT": Advice(
        "Send a positive amount with no more decimal places than the currency has.", Retry.CHANGED
    ),
    "validation_failed": Advice(
        "Correct the fields that `errors` names; each entry says what is wrong.", Retry.CHANGED
    ),
    "card_number_refused": Advice(
        "Give card numbers to the processor's own form only, and send the token that it returns.",
        Retry.CHANGED,
    ),
    "idempotency_key_required": Advice(
        "Make a new key (a UUID will do) for each new wish, and keep it for repeats.",
        Retry.CHANGED,
    ),
    "idempotency_key_reused": Advice(
        "Repeat the first request exactly, or use a new key for a new wish.", Retry.NEW_KEY
    ),
    "weak_password": Advice(
        "Choose a longer password that is in no list of common ones.", Retry.CHANGED
    ),
    "receiver_refused": Advice(
        "Give an https URL whose host resolves to a public address.", Retry.CHANGED
    ),
    "amount_not_allowed": Advice(
        "Choose an amount within the bounds that the detail names.", Retry.CHANGED
    ),
    "currency_not_enabled": Advice(
        "Use an enabled currency, or ask the operator to enable this one.", Retry.CHANGED
    ),
    "not_authenticated": Advice(
        "Log in and send `Authorization: Bearer` with the access token.", Retry.NEW_SESSION
    ),
    "INVALID_SIGNATURE": Advice(
        "Sign the very bytes that are sent, with the current secret and a right clock; "
        "`tidegate hmac explain` shows which check fails.",
        Retry.CHANGED,
    ),
    "invalid_credentials": Advice(
        "Check the address and the password; both faults are answered alike.", Retry.CHANGED
    ),
    "invalid_token": Advice(
        "Exchange the refresh cookie for a new access token, or log in.", Retry.NEW_SESSION
    ),
    "refresh_token_reused": Advice(
        "Log in again. If it was not your own client, change the password: somebody may hold a "
        "copy of the cookie.",
        Retry.NEW_SESSION,
    ),
    "forbidden": Advice("Use an account that has the role for this.", Retry.CHANGED),
    "origin_refused": Advice(
        "Call from the service's own pages, or have the origin added to `CORS_ORIGINS`.",
        Retry.CHANGED,
    ),
    "conflict": Advice("Read the present state, then decide again.", Retry.CHANGED),
    "email_taken": Advice("Log in with that address, or register another.", Retry.CHANGED),
    "request_still_running": Advice("Wait, then repeat the request to get its answer.", Retry.SAFE),
    "payment_state": Advice(
        "Read the payment: its status says what is possible now.", Retry.CHANGED
    ),
    "order_state": Advice(
        "Read the order's story: it says what it waits for and who is at it.", Retry.CHANGED
    ),
    "not_proven": Advice(
        "Read what the PSP said in the order's story; ask its support, and try again when it says "
        "something else.",
        Retry.CHANGED,
    ),
    "amount_exceeds_refundable": Advice(
        "Read the payment; refunds that are pending count as well.", Retry.CHANGED
    ),
    "limit_reached": Advice("Remove one that is no longer needed.", Retry.CHANGED),
    "card_declined": Advice(
        "Read `failure` in the member `payment`; ask the payer for another payment method.",
        Retry.NEW_KEY,
    ),
    "processor_failed": Advice(
        "Nothing was charged. Read the detail; if it is no fault of the request, tell the "
        "operator.",
        Retry.NEW_KEY,
    ),
    "too_many_requests": Advice(
        "Wait; the RateLimit headers tell how many requests are left and until when.", Retry.SAFE
    ),
    "unavailable": Advice("Wait and repeat the request.", Retry.SAFE),
    "processor_unreachable": Advice(
        "Nothing was begun. Wait and repeat the request with the same Idempotency-Key.", Retry.SAFE
    ),
    "payments_off": Advice("Wait, or ask the operator when payments are on again.", Retry.SAFE),
    "quarantined": Advice(
        "Nothing was begun. Wait and repeat the request with the same Idempotency-Key; the "
        "operator ends the quarantine.",
        Retry.SAFE,
    ),
    "refused": Advice("Read the message: it says which rule the order breaks.", Retry.ROUND),
    "INSUFFICIENT_BALANCE": Advice(
        "The operator funds the account at the payment service provider.", Retry.ROUND
    ),
    "AMOUNT_EXCEEDS_LIMIT": Advice(
        "Offer a smaller order, or have `MAX_ORDER_AMOUNT` raised.", Retry.ROUND
    ),
    "AMOUNT_BELOW_MINIMUM": Advice(
        "Offer a larger order, or have `MIN_ORDER_AMOUNT` lowered.", Retry.ROUND
    ),
    "UNSUPPORTED_CURRENCY": Advice("Offer a currency that `GET /info` names.", Retry.ROUND),
    "UNSUPPORTED_INSTITUTION": Advice(
        "Offer the order to a node that reaches the institution.", Retry.ROUND
    ),
    "INVALID_ACCOUNT": Advice("Correct the recipient's account.", Retry.ROUND),
    "DUPLICATE_ORDER": Advice(
        "Use a new order id for other figures; the running order goes on unchanged.",
        Retry.CHANGED,
    ),
    "ORDER_EXPIRED": Advice("Offer the order again.", Retry.ROUND),
    "PSP_ERROR": Advice("Offer the order again later, or to another node.", Retry.ROUND),
    "REPORT_STANDS": Advice(
        "Clear the earlier report of this order at the aggregator, or offer it to another node.",
        Retry.NONE,
    ),
    "SWITCHED_OFF": Advice("An operator switches it on again: `tidegate switches`.", Retry.ROUND),
    "not_found": Advice(
        "Check the address and the id; what belongs to another account is not found either.",
        Retry.CHANGED,
    ),
    "write_refused": Advice("Read the present state, then repeat.", Retry.SAME_KEY),
    "stale": Advice("Read the present state, then repeat.", Retry.SAME_KEY),
    "already_exists": Advice("Read what is there: it was recorded before.", Retry.SAME_KEY),
    "floor_broken": Advice("Lower the amount, or fund the account.", Retry.CHANGED),
    "not_in_table": Advice(
        "The operator looks at the case that was opened: the state table forbids this.",
        Retry.CHANGED,
    ),
    "data_key_missing": Advice(
        "The operator gives this process the key: `DATA_KEY` or `DATA_KEY_PREVIOUS`.", Retry.NONE
    ),
    "data_unreadable": Advice(
        "The operator finds out who wrote to the database: the value was damaged or moved.",
        Retry.NONE,
    ),
    "ledger_fault": Advice("The operator runs `tidegate ledger audit` at once.", Retry.NONE),
    "unbalanced": Advice("The operator runs `tidegate ledger audit` at once.", Retry.NONE),
    "node_failed": Advice("Read the end of the log that the message shows.", Retry.NONE),
}
