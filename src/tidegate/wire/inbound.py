"""What the aggregator sends: offers of both dialects, status questions, account checks.

An authentic offer with a usable order id is always kept: what is unusable in it is carried as
it came and named in ``faults``, and the order's policy refuses it later. Only a field of the
wrong JSON type, no usable order id, or a spec offer without its main fields is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context
from typing import Final

from tidegate.errors import BadInput, InvalidAmount, UnsupportedCurrency
from tidegate.money import Currency, Money, parse_amount, parse_currency
from tidegate.wire.canonical import Json, NumberToken, Plain
from tidegate.wire.dialect import Dialect
from tidegate.wire.fields import decimal_of, instant_ms, object_of, strings_of, text_of

__all__ = [
    "PAYOUT",
    "Offer",
    "Recipient",
    "TxStatusQuery",
    "VerifyAccount",
    "parse_live_offer",
    "parse_order_id",
    "parse_spec_offer",
    "parse_tx_status",
    "parse_verify_account",
]

PAYOUT: Final = "payout"
PAYIN: Final = "payin"

# Without these a spec offer is not one.
_NEEDED: Final = {"amount: missing", "currency: missing", "recipient: missing"}

# A double holds any 15 significant digits, and more of them are the noise of its arithmetic.
_DOUBLE: Final = Context(prec=15, rounding=ROUND_HALF_EVEN)
_FRACTION: Final = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,40}")

# Far past any clock, milliseconds included, and within every integer column.
_SECONDS_MAX: Final = 10**15

# These go into paths of addresses unquoted, so nothing but dots is no id.
_ORDER_ID = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a spec offer or an accept answer names; missing texts are empty.

    ``metadata`` holds numbers as their text.
    """

    institution: str
    account_identifier: str
    account_name: str
    memo: str = ""
    metadata: Mapping[str, Plain] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Offer:
    """An order offered to the node, in either dialect (contract, 3.1).

    ``amount_token`` is what stood there, major units, verbatim; ``money`` is the same read
    exactly, ``None`` if it or the currency cannot be used. ``expires_at_ms`` is Unix
    milliseconds, ``timestamp`` Unix seconds; both ``None`` when absent. ``direction`` is
    ``payout`` when absent. Each fault is ``<field>: <code>``, the code being ``missing``,
    ``unreadable``, ``unknown`` or one of the error tree.
    """

    dialect: Dialect
    order_id: str
    amount_token: str
    currency: str
    institution: str
    money: Money | None
    exclude_psps: tuple[str, ...] = ()
    direction: str = PAYOUT
    recipient: Recipient | None = None
    reference: str = ""
    expires_at_ms: int | None = None
    timestamp: int | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TxStatusQuery:
    """``POST /tx_status``: which order is asked about, and what the aggregator knows of it."""

    order_id: str
    currency: str
    psp: str
    tx_id: str


@dataclass(frozen=True, slots=True)
class VerifyAccount:
    """``POST /verify_account``: whose account is this (contract, 3.3)."""

    institution: str
    account_identifier: str


def parse_order_id(value: Json) -> str:
    """An order id: 1 to 64 of ``A-Za-z0-9._-``, not dots alone. Raises :class:`BadInput`."""
    if not isinstance(value, str) or _ORDER_ID.fullmatch(value) is None:
        raise BadInput("The order id is missing or cannot be used.")
    return value


def parse_live_offer(message: Mapping[str, Json]) -> Offer:
    """Read ``POST /new_order`` (contract, 3.1).

    Raises :class:`BadInput` for an unusable order id or a field of the wrong JSON type.
    """
    order_id = parse_order_id(message.get("orderId"))
    faults: list[str] = []
    amount_token, currency, money = _money(message, faults)
    institution = text_of(message, "institution", faults, required=True)
    direction = text_of(message, "direction", faults) or PAYOUT
    if direction not in (PAYOUT, PAYIN):
        faults.append("direction: unknown")
    return Offer(
        dialect=Dialect.LIVE,
        order_id=order_id,
        amount_token=amount_token,
        currency=currency,
        institution=institution,
        money=money,
        exclude_psps=strings_of(message, "excludePsps", faults),
        direction=direction,
        timestamp=_timestamp(message),
        faults=tuple(faults),
    )


def parse_spec_offer(message: Mapping[str, Json]) -> Offer:
    """Read ``POST /orders`` of the spec dialect (contract, 3.1).

    ``institution`` is the recipient's. Errors as :func:`parse_live_offer`; one without amount,
    currency or recipient is no offer either. The amount is a float there: its noise is dropped.
    """
    order_id = parse_order_id(message.get("orderId"))
    faults: list[str] = []
    amount_token, currency, money = _money(message, faults, _without_noise)
    recipient = _recipient(message, faults)
    if missing := sorted(_NEEDED & set(faults)):
        raise BadInput(f"{missing[0]}.")
    return Offer(
        dialect=Dialect.SPEC,
        order_id=order_id,
        amount_token=amount_token,
        currency=currency,
        institution=recipient.institution if recipient else "",
        money=money,
        recipient=recipient,
        reference=text_of(message, "reference", faults),
        expires_at_ms=instant_ms(message, "expiresAt", faults),
        timestamp=_timestamp(message),
        faults=tuple(faults),
    )


def parse_tx_status(message: Mapping[str, Json]) -> TxStatusQuery:
    """Read ``POST /tx_status``: ``reference`` or, in one of its shapes, ``orderId``.

    Only an unusable order id raises (:class:`BadInput`). Anything else is read as empty when it
    is no string: an error answered here can make an aggregator offer a paid order again
    (contract, 3.2).
    """
    reference = message.get("reference")
    # An empty reference beside an order id is a reference that is not there.
    order_id = parse_order_id(reference or message.get("orderId"))
    return TxStatusQuery(
        order_id=order_id,
        currency=_text_or_empty(message.get("currency")),
        psp=_text_or_empty(message.get("psp")),
        tx_id=_text_or_empty(message.get("txId")),
    )


def parse_verify_account(message: Mapping[str, Json]) -> VerifyAccount:
    """Read ``POST /verify_account``. Raises :class:`BadInput` unless both texts are there."""
    faults: list[str] = []
    institution = text_of(message, "institution", faults, required=True)
    account_identifier = text_of(message, "accountIdentifier", faults, required=True)
    if faults:
        raise BadInput(f"{faults[0]}.")
    return VerifyAccount(institution, account_identifier)


def _without_noise(token: str) -> str:
    """A fraction to the 15 digits that a double carries for certain: 75375.00000000001 is 75375."""
    return str(_DOUBLE.create_decimal(token)) if _FRACTION.fullmatch(token) else token


def _money(
    message: Mapping[str, Json], faults: list[str], read: Callable[[str], str] = str
) -> tuple[str, str, Money | None]:
    """The amount and the currency as they stand there, and both read."""
    raw = message.get("amount")
    token = raw.text if isinstance(raw, NumberToken) else text_of(message, "amount", faults)
    code = text_of(message, "currency", faults, required=True)
    currency = _currency(code, faults)
    if not token:
        faults.append("amount: missing")
    if not token or currency is None:
        return token, code, None
    try:
        return token, code, parse_amount(read(token), currency)
    except InvalidAmount as error:
        faults.append(f"amount: {error.code}")
        return token, code, None


def _currency(code: str, faults: list[str]) -> Currency | None:
    if not code:
        return None
    try:
        return parse_currency(code)
    except (BadInput, UnsupportedCurrency):
        # To the sender both mean that this currency is not served here.
        faults.append(f"currency: {UnsupportedCurrency.code}")
        return None


def _recipient(message: Mapping[str, Json], faults: list[str]) -> Recipient | None:
    raw = message.get("recipient")
    if raw is None:
        faults.append("recipient: missing")
        return None
    if not isinstance(raw, dict):
        raise BadInput("recipient is not an object.")
    return Recipient(
        institution=text_of(raw, "institution", faults, within="recipient.", required=True),
        account_identifier=text_of(
            raw, "accountIdentifier", faults, within="recipient.", required=True
        ),
        account_name=text_of(raw, "accountName", faults, within="recipient.", required=True),
        memo=text_of(raw, "memo", faults, within="recipient."),
        metadata=object_of(raw, "metadata", within="recipient."),
    )


def _timestamp(message: Mapping[str, Json]) -> int | None:
    """Unix seconds, a number or a numeric string, the fraction cut as the aggregator does.

    One that cannot be read is refused and not carried: taken for absent, it would pass the
    freshness check that it fails.
    """
    raw = message.get("timestamp")
    if raw is None:
        return None
    value = decimal_of(raw)
    if value is None or abs(value) > _SECONDS_MAX:
        raise BadInput("timestamp is not a number of seconds.")
    return int(value)


def _text_or_empty(value: Json) -> str:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else ""
