"""What may be asked: the node's own orders, rates, figures; institutions and currencies (4.6)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tidegate.sandbox.aggregator.book import Book
from tidegate.sandbox.aggregator.catalogue import (
    CURRENCIES,
    INSTITUTIONS,
    currency_listing,
    rate_listing,
)
from tidegate.sandbox.aggregator.envelope import Reply, refused, success
from tidegate.sandbox.aggregator.orders import PAID, Status

__all__ = ["currencies", "institutions", "one_order", "orders", "rates", "stats"]

_NO_ORDER = refused(404, "Payment order not found")
_NO_CURRENCY = refused(400, "Currency is required")
_UNKNOWN_CURRENCY = refused(400, "Currency not found")
_PAGE_SIZE = 10


def one_order(book: Book, order_id: str) -> Reply:
    """The ownership oracle: 404 unless the provider edge is the node's."""
    order = book.orders.get(order_id)
    if order is None or not order.ours:
        return _NO_ORDER
    order.success_unseen = False
    return success("The order has been retrieved successfully", order.listing())


def orders(book: Book, query: Mapping[str, Any]) -> Reply:
    """The node's orders of one currency, newest first unless ``ordering=asc``, paged by ten."""
    refusal = _refuse_currency(query)
    if refusal is not None:
        return refusal
    wanted = str(query.get("status", ""))
    known = wanted in set(Status)
    search = str(query.get("search", "")).lower()
    found = [
        order
        for order in book.orders.values()
        if order.ours
        and order.currency == query["currency"]
        and (not known or order.status == wanted)
        and (not search or search in f"{order.id} {order.account} {order.account_name}".lower())
    ]
    found.sort(key=lambda order: order.created, reverse=query.get("ordering") != "asc")
    page, page_size = _positive(query, "page", 1), _positive(query, "pageSize", _PAGE_SIZE)
    shown = found[(page - 1) * page_size : page * page_size]
    data = {
        "total": len(found),
        "page": page,
        "pageSize": page_size,
        "orders": [order.listing() for order in shown] or None,
    }
    return success("Orders successfully retrieved", data)


def _refuse_currency(query: Mapping[str, Any]) -> Reply | None:
    currency = query.get("currency")
    if not currency:
        return _NO_CURRENCY
    return None if currency in CURRENCIES else _UNKNOWN_CURRENCY


def _positive(query: Mapping[str, Any], name: str, otherwise: int) -> int:
    text = str(query.get(name, ""))
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else otherwise


def rates(token: str, currency: str) -> Reply:
    """Buy and sell rate of a token, as strings."""
    listing = rate_listing(token, currency.upper())
    if listing is None:
        return refused(400, f"Rate for {token} and {currency} is not supported")
    return success("Rate fetched successfully", listing)


def stats(book: Book, query: Mapping[str, Any]) -> Reply:
    """Number and volume of the orders that the node paid."""
    refusal = _refuse_currency(query)
    if refusal is not None:
        return refusal
    paid = [
        order
        for order in book.orders.values()
        if order.ours and order.currency == query["currency"] and order.status in PAID
    ]
    data = {
        "totalOrders": len(paid),
        "totalFiatVolume": str(sum((order.amount for order in paid), Decimal(0))),
        "totalCryptoVolume": str(sum((order.token_amount for order in paid), Decimal(0))),
    }
    return success("Provider stats fetched successfully", data)


def institutions(currency: str) -> Reply:
    """Banks and wallets of a currency; an empty list for an unknown one (section 1)."""
    rows = INSTITUTIONS.get(currency.upper(), ())
    return success("OK", [{"name": name, "code": code, "type": kind} for name, code, kind in rows])


def currencies() -> Reply:
    """Every enabled currency."""
    return success("OK", currency_listing())
