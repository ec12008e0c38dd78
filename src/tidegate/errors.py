"""The tree of errors. No HTTP in it: ``api`` owns the table from code to status.

Every class has a stable ``code`` and a sentence (the class docstring's first line is for
developers, ``sentence`` is what a caller reads). ::

    TidegateError
    ├── ConfigurationError          configuration_invalid
    ├── BadInput                    bad_input
    │   ├── UnreadableBody          unreadable_body
    │   ├── BodyTooLarge            body_too_large
    │   ├── UnsupportedMediaType    unsupported_media_type
    │   ├── InvalidAmount           INVALID_AMOUNT
    │   ├── ValidationFailed        validation_failed
    │   ├── CardNumberRefused       card_number_refused
    │   ├── IdempotencyKeyRequired  idempotency_key_required
    │   ├── IdempotencyKeyReused    idempotency_key_reused
    │   ├── WeakPassword            weak_password
    │   ├── ReceiverRefused         receiver_refused
    │   ├── AmountNotAllowed        amount_not_allowed
    │   └── CurrencyNotEnabled      currency_not_enabled
    ├── NotAuthenticated            not_authenticated
    │   ├── InvalidSignature        INVALID_SIGNATURE
    │   ├── InvalidCredentials      invalid_credentials
    │   ├── InvalidToken            invalid_token
    │   └── RefreshReused           refresh_token_reused
    ├── Forbidden                   forbidden
    │   └── OriginRefused           origin_refused
    ├── Conflict                    conflict
    │   ├── EmailTaken              email_taken
    │   ├── StillRunning            request_still_running
    │   ├── WrongState              payment_state
    │   ├── WrongOrderState         order_state
    │   ├── NotProven               not_proven
    │   ├── AmountExceedsRefundable amount_exceeds_refundable
    │   └── LimitReached            limit_reached
    ├── CardDeclined                card_declined
    ├── ProcessorFailed             processor_failed
    ├── TooManyRequests             too_many_requests
    ├── Unavailable                 unavailable
    │   ├── ProcessorUnreachable    processor_unreachable
    │   ├── PaymentsOff             payments_off
    │   └── Quarantined             quarantined
    ├── PolicyRefusal               (what the node will not do; the aggregator's names)
    │   ├── InsufficientBalance     INSUFFICIENT_BALANCE
    │   ├── AmountExceedsLimit      AMOUNT_EXCEEDS_LIMIT
    │   ├── AmountBelowMinimum      AMOUNT_BELOW_MINIMUM
    │   ├── UnsupportedCurrency     UNSUPPORTED_CURRENCY
    │   ├── UnsupportedInstitution  UNSUPPORTED_INSTITUTION
    │   ├── InvalidAccount          INVALID_ACCOUNT
    │   ├── DuplicateOrder          DUPLICATE_ORDER
    │   ├── OrderExpired            ORDER_EXPIRED
    │   ├── PspsUnavailable         PSP_ERROR
    │   └── SwitchedOff             SWITCHED_OFF
    ├── NotFound                    not_found
    ├── DataKeyMissing              data_key_missing
    ├── DataUnreadable              data_unreadable
    ├── WriteRefused                write_refused      (nothing of the unit was written)
    │   ├── Stale                   stale
    │   ├── AlreadyExists           already_exists
    │   ├── FloorBroken             floor_broken
    │   └── NotInTable              not_in_table
    └── LedgerFault                 ledger_fault
        └── Unbalanced              unbalanced
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

__all__ = [
    "AlreadyExists",
    "AmountBelowMinimum",
    "AmountExceedsLimit",
    "AmountExceedsRefundable",
    "AmountNotAllowed",
    "BadInput",
    "BodyTooLarge",
    "CardDeclined",
    "CardNumberRefused",
    "ConfigurationError",
    "Conflict",
    "CurrencyNotEnabled",
    "DataKeyMissing",
    "DataUnreadable",
    "DuplicateOrder",
    "EmailTaken",
    "FloorBroken",
    "Forbidden",
    "IdempotencyKeyRequired",
    "IdempotencyKeyReused",
    "InsufficientBalance",
    "InvalidAccount",
    "InvalidAmount",
    "InvalidCredentials",
    "InvalidSignature",
    "InvalidToken",
    "LedgerFault",
    "LimitReached",
    "NotAuthenticated",
    "NotFound",
    "NotInTable",
    "NotProven",
    "OrderExpired",
    "OriginRefused",
    "PaymentsOff",
    "PolicyRefusal",
    "ProcessorFailed",
    "ProcessorUnreachable",
    "PspsUnavailable",
    "Quarantined",
    "ReceiverRefused",
    "RefreshReused",
    "Stale",
    "StillRunning",
    "SwitchedOff",
    "TidegateError",
    "TooManyRequests",
    "Unavailable",
    "Unbalanced",
    "UnreadableBody",
    "UnsupportedCurrency",
    "UnsupportedInstitution",
    "UnsupportedMediaType",
    "ValidationFailed",
    "WeakPassword",
    "WriteRefused",
    "WrongOrderState",
    "WrongState",
]


class TidegateError(Exception):
    """Root of everything this package raises on purpose."""

    code: ClassVar[str] = "internal_error"
    sentence: ClassVar[str] = "Something went wrong inside the service."

    def __init__(
        self,
        detail: str | None = None,
        *,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``members`` and ``headers`` are further ones of an answer that tells the error, such as
        the payment it is about."""
        self.detail = detail or self.sentence
        self.members = dict(members or {})
        self.headers = dict(headers or {})
        super().__init__(self.detail)


class ConfigurationError(TidegateError):
    """The settings cannot be used; ``faults`` lists every one of them."""

    code = "configuration_invalid"
    sentence = "The configuration is not usable."

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class BadInput(TidegateError):
    """What arrived cannot be understood."""

    code = "bad_input"
    sentence = "The request cannot be understood."


class UnreadableBody(BadInput):
    """The body is not the JSON object it should be."""

    code = "unreadable_body"
    sentence = "The body is not a JSON object."


class BodyTooLarge(BadInput):
    """The body is over the size limit."""

    code = "body_too_large"
    sentence = "The body is larger than 64 KiB."


class UnsupportedMediaType(BadInput):
    """The content type is none we read."""

    code = "unsupported_media_type"
    sentence = "Send the body as application/json."


class InvalidAmount(BadInput):
    """An amount that is no exact, positive, sane number of minor units."""

    code = "INVALID_AMOUNT"
    sentence = "The amount is not a positive decimal with the currency's number of places."


class NotAuthenticated(TidegateError):
    """Who sent this is not proven."""

    code = "not_authenticated"
    sentence = "The request is not authenticated."


class InvalidSignature(NotAuthenticated):
    """A signature is missing, wrong, for somebody else or stale."""

    code = "INVALID_SIGNATURE"
    sentence = "The signature is missing or does not fit the body."


class PolicyRefusal(TidegateError):
    """An order the node will not take, in the aggregator's vocabulary (A13)."""

    code = "refused"
    sentence = "The order is refused."


class InsufficientBalance(PolicyRefusal):
    """The float does not cover amount and highest fee."""

    code = "INSUFFICIENT_BALANCE"
    sentence = "The float does not cover the amount and its fee."


class AmountExceedsLimit(PolicyRefusal):
    """The amount is above the configured maximum."""

    code = "AMOUNT_EXCEEDS_LIMIT"
    sentence = "The amount is above the maximum for this currency."


class AmountBelowMinimum(PolicyRefusal):
    """The amount is below the configured minimum."""

    code = "AMOUNT_BELOW_MINIMUM"
    sentence = "The amount is below the minimum for this currency."


class UnsupportedCurrency(PolicyRefusal):
    """The currency is not served here."""

    code = "UNSUPPORTED_CURRENCY"
    sentence = "The currency is not served by this node."


class UnsupportedInstitution(PolicyRefusal):
    """No usable PSP reaches the institution."""

    code = "UNSUPPORTED_INSTITUTION"
    sentence = "No payment service provider of this node reaches the institution."


class InvalidAccount(PolicyRefusal):
    """The recipient's account cannot be one."""

    code = "INVALID_ACCOUNT"
    sentence = "The recipient account is not valid for its institution."


class DuplicateOrder(PolicyRefusal):
    """The order id is known, with other figures."""

    code = "DUPLICATE_ORDER"
    sentence = "An order with this id and other figures is already in progress."


class OrderExpired(PolicyRefusal):
    """The offer's time is over."""

    code = "ORDER_EXPIRED"
    sentence = "The offer's time is over."


class PspsUnavailable(PolicyRefusal):
    """The institution is known, but no PSP that reaches it may be used now."""

    code = "PSP_ERROR"
    sentence = "No payment service provider for this order is available at the moment."


class ReportStands(PolicyRefusal):
    """An earlier *pending* of ours may stand there, in whose way this round's report would be."""

    code = "REPORT_STANDS"
    sentence = "An earlier report of this order may still stand at the aggregator."


class SwitchedOff(PolicyRefusal):
    """An operator's kill switch forbids it."""

    code = "SWITCHED_OFF"
    sentence = "Payouts of this kind are switched off."


class NotFound(TidegateError):
    """What was asked for does not exist."""

    code = "not_found"
    sentence = "There is nothing under this id."


class DataKeyMissing(TidegateError):
    """A value is encrypted under a key that this process was not given; another one may have it."""

    code = "data_key_missing"
    sentence = "A value in the database is encrypted under a key that is not given here."


class DataUnreadable(TidegateError):
    """A value that is kept encrypted does not open where it stands: no process can read it."""

    code = "data_unreadable"
    sentence = "A value in the database cannot be decrypted."


class Forbidden(TidegateError):
    """Who it is, is proven; it is not allowed to do this."""

    code = "forbidden"
    sentence = "This account may not do that."


class Conflict(TidegateError):
    """The request does not fit what is there."""

    code = "conflict"
    sentence = "The request does not fit the present state."


class Unavailable(TidegateError):
    """Cannot be served now; later it can."""

    code = "unavailable"
    sentence = "The service cannot do this at the moment: repeat the request later."
    retry_after_s: int = 5


class ValidationFailed(BadInput):
    """A field is missing, has the wrong shape or is out of bounds."""

    code = "validation_failed"
    sentence = "Something in the request is missing or not as it should be."

    def __init__(self, errors: Sequence[Mapping[str, str]] = (), detail: str | None = None) -> None:
        """``errors``: one ``{"field", "code", "message"}`` for each fault, never the value."""
        self.errors = [dict(error) for error in errors]
        super().__init__(detail)


class CardNumberRefused(BadInput):
    """A value in the request is a plausible card number."""

    code = "card_number_refused"
    sentence = (
        "The request holds what looks like a card number: send the processor's token instead."
    )


class IdempotencyKeyRequired(BadInput):
    """A write that moves money came without its key."""

    code = "idempotency_key_required"
    sentence = (
        "Send an Idempotency-Key header: 1 to 255 visible characters, a new one for each new wish."
    )


class IdempotencyKeyReused(BadInput):
    """The key belongs to another request."""

    code = "idempotency_key_reused"
    sentence = "This Idempotency-Key was used for another request: send a new key."


class WeakPassword(BadInput):
    """The password is short or known to many."""

    code = "weak_password"
    sentence = "The password is too easy to guess: take a longer one."


class ReceiverRefused(BadInput):
    """A webhook endpoint's URL that will not be called."""

    code = "receiver_refused"
    sentence = "This URL cannot receive webhooks."


class AmountNotAllowed(BadInput):
    """The amount is outside the bounds for its currency, or not one the processor takes."""

    code = "amount_not_allowed"
    sentence = "The amount is not possible in this currency."


class CurrencyNotEnabled(BadInput):
    """Payments in this currency are not switched on."""

    code = "currency_not_enabled"
    sentence = "Payments in this currency are not accepted here."


class InvalidCredentials(NotAuthenticated):
    """E-mail and password do not belong together."""

    code = "invalid_credentials"
    sentence = "The e-mail address or the password is wrong."


class InvalidToken(NotAuthenticated):
    """The access or refresh token is not valid, or not any more."""

    code = "invalid_token"
    sentence = "The token is not valid: log in, or refresh."


class RefreshReused(NotAuthenticated):
    """A refresh token was shown again after it was exchanged."""

    code = "refresh_token_reused"
    sentence = "This refresh token was used before, so its session has been ended: log in again."


class OriginRefused(Forbidden):
    """A cookie came with a foreign origin."""

    code = "origin_refused"
    sentence = "Requests with the session cookie are not accepted from this origin."


class EmailTaken(Conflict):
    """The e-mail address has an account."""

    code = "email_taken"
    sentence = "There is an account with this e-mail address."


class StillRunning(Conflict):
    """The first request with this key, or other work on the payment, is not finished."""

    code = "request_still_running"
    sentence = "The first request with this key is still running: repeat this one shortly."
    retry_after_s: int = 1


class WrongState(Conflict):
    """The payment's status does not allow it."""

    code = "payment_state"
    sentence = "The payment's status does not allow this."


class WrongOrderState(Conflict):
    """The order's state, or that of its transfer, does not allow it."""

    code = "order_state"
    sentence = "The order's state does not allow this."


class NotProven(Conflict):
    """The PSP, asked just then, does not prove what a person wants to record of an order."""

    code = "not_proven"
    sentence = "The PSP does not prove it."


class AmountExceedsRefundable(Conflict):
    """More than what is captured and not refunded yet."""

    code = "amount_exceeds_refundable"
    sentence = "The amount is more than what can still be refunded."


class LimitReached(Conflict):
    """As many as one user may have."""

    code = "limit_reached"
    sentence = "There are as many of these as one account may have."


class CardDeclined(TidegateError):
    """The processor declined the card."""

    code = "card_declined"
    sentence = "The card was declined."


class ProcessorFailed(TidegateError):
    """The processor refused for certain; nothing was charged."""

    code = "processor_failed"
    sentence = "The payment processor refused the request; no money was moved."


class ProcessorUnreachable(Unavailable):
    """The processor could not be reached and nothing was begun."""

    code = "processor_unreachable"
    sentence = "The payment processor cannot be reached at the moment: repeat the request later."


class PaymentsOff(Unavailable):
    """No processor is configured, or payments are switched off."""

    code = "payments_off"
    sentence = "Payments are not accepted at the moment."


class Quarantined(Unavailable):
    """The database was restored, and what is missing in it is still being looked for."""

    code = "quarantined"
    sentence = (
        "The service was restored from a backup and moves no money until it has found out what "
        "happened since: repeat the request later, with the same idempotency key."
    )
    retry_after_s = 60


class TooManyRequests(TidegateError):
    """A rate limit is reached."""

    code = "too_many_requests"
    sentence = "Too many requests: wait before the next one."

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after_s: int = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail, headers=headers)


class WriteRefused(TidegateError):
    """A unit handed to the committer was refused; nothing of it was written."""

    code = "write_refused"
    sentence = "The change was refused."


class Stale(WriteRefused):
    """The row is not in the state (or under the fence) that the decision was made on."""

    code = "stale"
    sentence = "The row has changed since it was read."


class AlreadyExists(WriteRefused):
    """A row with this key is there already."""

    code = "already_exists"
    sentence = "This was recorded before."


class FloorBroken(WriteRefused):
    """An intention would push an account below its floor."""

    code = "floor_broken"
    sentence = "The account does not cover this."


class NotInTable(WriteRefused):
    """The state table has no row for this event; somebody has to look."""

    code = "not_in_table"
    sentence = "This event is not possible in this state."


class LedgerFault(TidegateError):
    """The books would be, or are, wrong."""

    code = "ledger_fault"
    sentence = "The ledger is not consistent."


class Unbalanced(LedgerFault):
    """An entry whose legs do not add up to zero per currency."""

    code = "unbalanced"
    sentence = "The entry's legs do not balance."
