"""The tree of errors. No HTTP in it: ``api`` owns the table from code to status.

Every class has a stable ``code`` and a sentence (the class docstring's first line is for
developers, ``sentence`` is what a caller reads). ::

    TidegateError
    ├── ConfigurationError          configuration_invalid
    ├── BadInput                    bad_input
    │   ├── UnreadableBody          unreadable_body
    │   ├── BodyTooLarge            body_too_large
    │   ├── UnsupportedMediaType    unsupported_media_type
    │   └── InvalidAmount           INVALID_AMOUNT
    ├── NotAuthenticated            not_authenticated
    │   └── InvalidSignature        INVALID_SIGNATURE
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
    ├── WriteRefused                write_refused      (nothing of the unit was written)
    │   ├── Stale                   stale
    │   ├── AlreadyExists           already_exists
    │   ├── FloorBroken             floor_broken
    │   └── NotInTable              not_in_table
    └── LedgerFault                 ledger_fault
        └── Unbalanced              unbalanced
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlreadyExists",
    "AmountBelowMinimum",
    "AmountExceedsLimit",
    "BadInput",
    "BodyTooLarge",
    "ConfigurationError",
    "DuplicateOrder",
    "FloorBroken",
    "InsufficientBalance",
    "InvalidAccount",
    "InvalidAmount",
    "InvalidSignature",
    "LedgerFault",
    "NotAuthenticated",
    "NotFound",
    "NotInTable",
    "OrderExpired",
    "PolicyRefusal",
    "PspsUnavailable",
    "Stale",
    "SwitchedOff",
    "TidegateError",
    "Unbalanced",
    "UnreadableBody",
    "UnsupportedCurrency",
    "UnsupportedInstitution",
    "UnsupportedMediaType",
    "WriteRefused",
]


class TidegateError(Exception):
    """Root of everything this package raises on purpose."""

    code: ClassVar[str] = "internal_error"
    sentence: ClassVar[str] = "Something went wrong inside the service."

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.sentence
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


class SwitchedOff(PolicyRefusal):
    """An operator's kill switch forbids it."""

    code = "SWITCHED_OFF"
    sentence = "Payouts of this kind are switched off."


class NotFound(TidegateError):
    """What was asked for does not exist."""

    code = "not_found"
    sentence = "There is nothing under this id."


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
