"""``/_sandbox``: driving and looking at the aggregator from another process.

No part of the contract. Everything answers the same envelope.

GET  orders[?status=]              every order's story
GET  orders/{id}                   one order's story
GET  orders/{id}/wait?status=a,b&timeout=5   the story once it is in one of the states; 408 if not
GET  marks                         ``{order id: {event: monotonic seconds}}``
GET  balances | counters | judge | faults
POST offers                        the arguments of ``offer`` as JSON, and ``count``, ``wait``
POST node                          ``{"url": ...}``
POST faults                        a fault plan to add; POST heal ends all faults
POST poll                          ask about everything that is due, now
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from tidegate.sandbox.aggregator.drafting import OrderFields
from tidegate.sandbox.aggregator.envelope import ROUTE_NOT_FOUND, Reply, refused, success
from tidegate.sandbox.aggregator.orders import Status

if TYPE_CHECKING:
    from tidegate.sandbox.aggregator.server import SandboxAggregator

__all__ = ["control"]

_OFFER_FIELDS = {"amount", "currency"} | OrderFields.__annotations__.keys()
_OFFERS_MAX = 10_000


async def control(
    aggregator: SandboxAggregator, request: web.BaseRequest, parts: list[str], query: str
) -> Reply:
    """Answer one call; ``parts`` is the path behind ``/_sandbox/``."""
    if request.method == "GET":
        return await _get(aggregator, parts, dict(parse_qsl(query)))
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return refused(422, "Send a JSON object")
    try:
        return await _post(aggregator, parts, body)
    except (ValueError, TypeError, ArithmeticError) as error:
        # What cannot be read as an argument is the caller's mistake, and he is told which.
        return refused(422, str(error) or type(error).__name__)


async def _get(aggregator: SandboxAggregator, parts: list[str], query: Mapping[str, str]) -> Reply:
    book = aggregator.book
    match parts:
        case ["orders"]:
            wanted = query.get("status")
            found = [o.story() for o in book.orders.values() if wanted in (None, o.status)]
            return success("OK", found)
        case ["orders", order_id] if order_id in book.orders:
            return success("OK", book.orders[order_id].story())
        case ["orders", order_id, "wait"] if order_id in book.orders:
            return await _wait(aggregator, order_id, query)
        case ["marks"]:
            return success("OK", {order.id: order.marks for order in book.orders.values()})
        case ["balances"]:
            return success("OK", {code: row.as_json() for code, row in book.floats.items()})
        case ["counters"]:
            return success("OK", dict(book.counters))
        case ["judge"]:
            return success("OK", [violation.as_json() for violation in aggregator.judge()])
        case ["faults"]:
            return success("OK", book.faults.as_json())
    return ROUTE_NOT_FOUND


async def _wait(aggregator: SandboxAggregator, order_id: str, query: Mapping[str, str]) -> Reply:
    try:
        statuses = [Status(word) for word in query.get("status", "settled").split(",")]
        timeout_s = float(query.get("timeout", "10"))
    except ValueError as error:
        return refused(422, str(error))
    try:
        order = await aggregator.wait_for(order_id, statuses, timeout_s)
    except TimeoutError:
        return refused(408, "Not in time", aggregator.order(order_id).story())
    return success("OK", order.story())


async def _post(aggregator: SandboxAggregator, parts: list[str], body: dict[str, Any]) -> Reply:
    match parts:
        case ["offers"]:
            return await _offer(aggregator, body)
        case ["node"]:
            aggregator.node_url = str(body["url"]) if body.get("url") else None
            return success("OK", {"url": aggregator.node_url})
        case ["faults"]:
            aggregator.book.faults.load(body)
            return success("OK", aggregator.book.faults.as_json())
        case ["heal"]:
            aggregator.book.faults.heal()
            return success("OK")
        case ["poll"]:
            await aggregator.poll()
            return success("OK")
    return ROUTE_NOT_FOUND


async def _offer(aggregator: SandboxAggregator, body: dict[str, Any]) -> Reply:
    """Create orders and offer them, in turn; with ``wait: false`` nobody waits for the node."""
    count, wait = int(body.pop("count", 1)), bool(body.pop("wait", True))
    unknown = sorted(set(body) - _OFFER_FIELDS)
    if unknown or "amount" not in body or not 1 <= count <= _OFFERS_MAX:
        return refused(422, f"amount is required, count is 1 to {_OFFERS_MAX}", unknown)
    if aggregator.node_url is None:
        return refused(409, "No node_url is set")
    ids = []
    for _ in range(count):
        order = aggregator.create(**body)
        ids.append(order.id)
        if wait:
            await aggregator.send(order)
        else:
            aggregator.send_soon(order)
    return success("OK", {"orders": ids})
