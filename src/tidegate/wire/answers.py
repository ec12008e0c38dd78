"""Reading what the aggregator answers: the envelope, the accept answer, its record of an order.

Nothing here refuses an answer for what is missing in it: the full answer is kept first, and
what cannot be used is named in ``faults`` for whoever decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tidegate.errors import BadInput, UnreadableBody
from tidegate.wire.canonical import Json, NumberToken, parse_object
from tidegate.wire.fields import decimal_of, object_of, read_rfc3339
from tidegate.wire.inbound import Recipient

__all__ = [
    "Acceptance",
    "Answer",
    "OrderPage",
    "OrderRecord",
    "parse_acceptance",
    "parse_answer",
    "parse_order",
    "parse_orders",
]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer of the aggregator, its envelope read.

    ``readable`` is false when the body is no JSON object (empty, HTML, two documents in one);
    then ``envelope_status`` and ``message`` are empty and ``data`` is ``None``.
    """

    http_status: int
    readable: bool
    envelope_status: str
    message: str
    data: Json

    @property
    def is_success(self) -> bool:
        """A 2xx whose envelope says ``success``."""
        return 200 <= self.http_status < 300 and self.envelope_status == "success"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The details of an accepted order (contract, 4.1).

    ``amount`` is major units and binding, ``None`` (and a fault) if it cannot be read; its
    currency is the offer's. ``order_id`` is the ``id`` in the answer, ``""`` if absent.
    """

    order_id: str
    amount_token: str
    amount: Decimal | None
    recipient: Recipient
    direction: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """The aggregator's own record of an order of ours (contract, 4.6); absent texts are empty.

    ``amount`` counts token units and ``rate`` fiat per token; ``otc_expiry_ms`` is Unix
    milliseconds.
    """

    order_id: str
    status: str
    amount: Decimal | None
    rate: Decimal | None
    token: str
    network: str
    recipient: Recipient
    order_type: str
    otc_expiry_ms: int | None
    created_at_ms: int | None
    updated_at_ms: int | None
    cancellation_reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of the order list; ``skipped`` counts entries that are no order objects."""

    total: int
    page: int
    page_size: int
    orders: tuple[OrderRecord, ...]
    skipped: int


def parse_answer(http_status: int, body: bytes) -> Answer:
    """Read the envelope of any answer. Never raises."""
    try:
        document = parse_object(body)
    except UnreadableBody:
        return Answer(http_status, False, "", "", None)
    return Answer(
        http_status,
        True,
        _text(document, "status"),
        _text(document, "message"),
        document.get("data"),
    )


def parse_acceptance(data: Json) -> Acceptance:
    """Read ``data`` of a successful accept. Never raises; what is missing is a fault."""
    message = data if isinstance(data, dict) else {}
    faults: list[str] = []
    amount = decimal_of(message.get("amount"))
    if amount is None:
        faults.append("amount: missing" if message.get("amount") is None else "amount: unreadable")
    recipient = _recipient(message)
    for name, value in (
        ("institution", recipient.institution),
        ("accountIdentifier", recipient.account_identifier),
    ):
        if not value:
            faults.append(f"{name}: missing")
    return Acceptance(
        order_id=_text(message, "id"),
        amount_token=_token(message, "amount"),
        amount=amount,
        recipient=recipient,
        direction=_text(message, "direction"),
        faults=tuple(faults),
    )


def parse_order(data: Json) -> OrderRecord:
    """Read an order object. Raises :class:`BadInput` if it has no id or status."""
    if not isinstance(data, dict):
        raise BadInput("The aggregator's order is not an object.")
    order_id, status = _text(data, "id"), _text(data, "status")
    if not order_id or not status:
        raise BadInput("The aggregator's order has no id or no status.")
    return OrderRecord(
        order_id=order_id,
        status=status,
        amount=decimal_of(data.get("amount")),
        rate=decimal_of(data.get("rate")),
        token=_text(data, "token"),
        network=_text(data, "network"),
        recipient=_recipient(data),
        order_type=_text(data, "orderType"),
        otc_expiry_ms=_instant_ms(data, "otcExpiry"),
        created_at_ms=_instant_ms(data, "createdAt"),
        updated_at_ms=_instant_ms(data, "updatedAt"),
        cancellation_reasons=_reasons(data),
    )


def parse_orders(data: Json) -> OrderPage:
    """Read ``data`` of the order list; ``orders: null`` is an empty page.

    Raises :class:`BadInput` if ``data`` is no such list at all, so that an odd answer is never
    taken for "we have no orders".
    """
    if not isinstance(data, dict) or "orders" not in data:
        raise BadInput("The aggregator's answer holds no list of orders.")
    entries = data["orders"]
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise BadInput("The aggregator's orders are not a list.")
    orders: list[OrderRecord] = []
    for entry in entries:
        try:
            orders.append(parse_order(entry))
        except BadInput:
            # One bad entry must not hide the others; the reader sees that it was there.
            continue
    return OrderPage(
        total=_count(data, "total"),
        page=_count(data, "page"),
        page_size=_count(data, "pageSize"),
        orders=tuple(orders),
        skipped=len(entries) - len(orders),
    )


def _recipient(message: Mapping[str, Json]) -> Recipient:
    metadata = message.get("metadata")
    return Recipient(
        institution=_text(message, "institution"),
        account_identifier=_text(message, "accountIdentifier"),
        account_name=_text(message, "accountName"),
        memo=_text(message, "memo"),
        metadata=object_of(message, "metadata") if isinstance(metadata, dict) else {},
    )


def _reasons(message: Mapping[str, Json]) -> tuple[str, ...]:
    reasons = message.get("cancellationReasons")
    if not isinstance(reasons, list):
        return ()
    return tuple(reason for reason in reasons if isinstance(reason, str))


def _text(message: Mapping[str, Json], name: str) -> str:
    value = message.get(name)
    return value.replace("\0", "\ufffd") if isinstance(value, str) else ""


def _token(message: Mapping[str, Json], name: str) -> str:
    value = message.get(name)
    return value.text if isinstance(value, NumberToken) else _text(message, name)


def _instant_ms(message: Mapping[str, Json], name: str) -> int | None:
    instant = read_rfc3339(_text(message, name))
    # Go's zero time (year 1) stands for "none".
    return instant if instant is not None and instant > 0 else None


def _count(message: Mapping[str, Json], name: str) -> int:
    value = decimal_of(message.get(name))
    return int(value) if value is not None else 0
