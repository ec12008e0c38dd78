"""Making up an order: what the caller leaves out is chosen so that it could be real."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypedDict

from tidegate.clock import Randomness
from tidegate.sandbox.aggregator.book import Book
from tidegate.sandbox.aggregator.catalogue import CURRENCIES
from tidegate.sandbox.aggregator.orders import Dialect, Order
from tidegate.sandbox.faults import AggregatorFault

__all__ = ["OrderFields", "draft"]

_TOKEN_STEP = Decimal("0.000001")
_ABOVE_ANY_LIMIT = Decimal(10) ** 12
_STABLE_TOKEN = "USDT"  # noqa: S105 -- a coin, no secret


class OrderFields(TypedDict, total=False):
    """What may be said of an order besides amount and currency.

    ``accept_amount`` is what accept answers instead of the amount; ``timestamp`` and
    ``expires_at`` say whether a SPEC offer carries them.
    """

    institution: str | None
    account: str | None
    account_name: str
    memo: str
    dialect: Dialect | None
    private: bool
    otc: bool
    exclude_psps: Sequence[str]
    order_id: str | None
    accept_amount: Decimal | int | str | None
    reference: str | None
    timestamp: bool
    expires_at: bool


def draft(
    book: Book, randomness: Randomness, amount: Decimal, currency: str, fields: OrderFields
) -> Order:
    """An order that is not in the book yet, with the faults that change its figures.

    ``amount`` is fiat in major units, rounded half to even to whole units for LIVE (section 1).
    Raises ``ValueError`` for an id that is taken or is no UUID, and for an unknown dialect.
    """
    named = fields.get("order_id")
    order_id = str(uuid.UUID(named)) if named else _new_uuid(randomness)
    if order_id in book.orders:
        raise ValueError(f"order {order_id} exists already")
    dialect = fields.get("dialect") or "live"
    if dialect not in ("live", "spec"):
        raise ValueError(f"no such dialect: {dialect}")
    institution = fields.get("institution")
    if book.strikes(AggregatorFault.TOO_LARGE, order_id):
        amount = _ABOVE_ANY_LIMIT
    if book.strikes(AggregatorFault.UNKNOWN_CURRENCY, order_id):
        currency = "XTS"
    if book.strikes(AggregatorFault.UNKNOWN_INSTITUTION, order_id):
        institution = "ZZZZZZZZ"
    if dialect == "live":
        amount = amount.quantize(Decimal(1), ROUND_HALF_EVEN)
    accept_amount = fields.get("accept_amount")
    known = CURRENCIES.get(currency, CURRENCIES["NGN"])
    return Order(
        id=order_id,
        currency=currency,
        amount=amount,
        accept_amount=amount if accept_amount is None else Decimal(accept_amount),
        institution=institution or known.institution,
        account=fields.get("account") or known.account,
        account_name=fields.get("account_name", "TEST RECIPIENT"),
        memo=fields.get("memo", ""),
        dialect=dialect,
        private=fields.get("private", False),
        otc=fields.get("otc", False),
        exclude_psps=tuple(fields.get("exclude_psps", ())),
        token=_STABLE_TOKEN,
        network="base",
        rate=known.rate,
        token_amount=(amount / known.rate).quantize(_TOKEN_STEP),
        reference=fields.get("reference"),
        with_timestamp=fields.get("timestamp", False),
        with_expiry=fields.get("expires_at", True),
        created_ms=book.clock.now_ms(),
        created=book.clock.monotonic(),
    )


def _new_uuid(randomness: Randomness) -> str:
    digest = hashlib.sha256(randomness.new_id("order").encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
