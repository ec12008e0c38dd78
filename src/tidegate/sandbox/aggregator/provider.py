"""The endpoints that a node calls, ``/v1/provider`` and the little there is of ``/v2`` (4)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from tidegate.sandbox.aggregator import accept, balances, queries, report
from tidegate.sandbox.aggregator.authentication import Authentication
from tidegate.sandbox.aggregator.book import Book
from tidegate.sandbox.aggregator.catalogue import CURRENCIES
from tidegate.sandbox.aggregator.envelope import ROUTE_NOT_FOUND, Reply, refused, success
from tidegate.sandbox.aggregator.judgement import Wrong
from tidegate.sandbox.aggregator.node_client import NodeClient
from tidegate.sandbox.aggregator.orders import Order
from tidegate.sandbox.faults import AggregatorFault

__all__ = ["Provider", "respond"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BAD_ID = refused(400, "Invalid Order ID")
_BROKEN = refused(500, "Internal server error")
_BALANCES_BROKEN = refused(500, "Failed to update balance")
_HTML_502 = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_JSON = "application/json; charset=utf-8"
_ROW_LOCK_STEP_S = 0.005
_EARLY_POLLS_MAX = 2

_F = AggregatorFault
_VERBS = frozenset({"accept", "decline", "fulfill", "cancel"})
_DROP_BEFORE = {"accept": _F.ACCEPT_DROP_BEFORE, "fulfill": _F.FULFIL_DROP_BEFORE}
_ERROR_500 = {"accept": _F.ACCEPT_500, "fulfill": _F.FULFIL_500, "decline": _F.DECLINE_500}
_DROP_AFTER = {
    "accept": _F.ACCEPT_DROP_AFTER,
    "fulfill": _F.FULFIL_DROP_AFTER,
    "cancel": _F.CANCEL_DROP_AFTER,
}
_SLOW = {"accept": _F.ACCEPT_SLOW, "fulfill": _F.FULFIL_SLOW}


def respond(reply: Reply) -> web.Response:
    """The HTTP answer for a reply."""
    return web.Response(
        status=reply.status,
        body=reply.body,
        headers={"Content-Type": _JSON} if reply.body else None,
    )


class Provider:
    """Authenticates, applies the faults that are set, calls the verb, answers.

    ``refuse`` stops listening for a while; ``ask_early`` asks the node for a payout's status.
    """

    def __init__(
        self,
        book: Book,
        authentication: Authentication,
        client: NodeClient,
        *,
        refuse: Callable[[], None],
        ask_early: Callable[[Order], Awaitable[None]],
    ) -> None:
        self._book = book
        self._authentication = authentication
        self._client = client
        self._refuse = refuse
        self._ask_early = ask_early

    async def handle(
        self, request: web.BaseRequest, version: str, parts: list[str], query: str
    ) -> web.StreamResponse:
        """Answer one call. ``parts`` is the path behind ``/v1/provider/``."""
        posted = request.method == "POST"
        body = await request.read() if posted else None
        verb, order_id = _route(request.method, version, parts)
        if verb is None:
            self._book.judge.record(Wrong.ROUTE, request.raw_path, request.method)
            return respond(ROUTE_NOT_FOUND)
        key = order_id or verb
        if request.headers.get("Client-Type") == "web":
            self._book.judge.record(Wrong.CLIENT_TYPE_WEB, key, verb)
        if (early := self._before_reading(request, key)) is not None:
            return early
        checked = self._authentication.check(
            request.headers.get("Authorization"), key=key, body=body, query=query
        )
        if isinstance(checked, Reply):
            return self._answer(verb, checked)
        if order_id is not None and _UUID.fullmatch(order_id) is None:
            return self._answer(verb, _BAD_ID)
        if verb in _VERBS and order_id is not None:
            return await self._order_call(request, verb, order_id, checked)
        if verb == "balances":
            return await self._balances(checked)
        return self._answer(verb, await self._query(verb, order_id, parts, checked))

    def _answer(self, verb: str, reply: Reply) -> web.Response:
        self._book.counters[f"{verb} {reply.status}"] += 1
        return respond(reply)

    def _before_reading(self, request: web.BaseRequest, key: str) -> web.StreamResponse | None:
        """Faults that strike before anybody knows who is calling."""
        if not self._book.faults.for_key(key):
            return None
        if self._book.strikes(_F.REFUSE_CONNECTION, key):
            self._refuse()
            return _dropped(request)
        if self._book.strikes(_F.RATE_LIMITED_429, key):
            retry_after_s = self._book.terms.retry_after_s
            data = {"retry_after": retry_after_s, "limit": 500}
            response = respond(refused(429, "Too many requests. Please try again later", data))
            response.headers["Retry-After"] = str(retry_after_s)
            self._book.counters["rate limited"] += 1
            return response
        return None

    async def _order_call(
        self, request: web.BaseRequest, verb: str, order_id: str, document: Mapping[str, Any]
    ) -> web.StreamResponse:
        book = self._book
        if not book.faults.for_key(order_id):
            await self._wait_for_row(verb, order_id)
            return self._answer(verb, self._act(verb, order_id, document))

        def strikes(faults: Mapping[str, AggregatorFault]) -> bool:
            return verb in faults and book.strikes(faults[verb], order_id)

        if strikes(_DROP_BEFORE):
            return _dropped(request)
        if strikes(_ERROR_500):
            return self._answer(verb, _BROKEN)
        if verb == "accept":
            if book.strikes(_F.ACCEPT_HTML_502, order_id):
                return web.Response(status=502, body=_HTML_502, content_type="text/html")
            await self._ask_while_accepting(order_id)
        await self._wait_for_row(verb, order_id)
        reply = self._act(verb, order_id, document)
        if strikes(_DROP_AFTER):
            self._book.counters[f"{verb} {reply.status} lost"] += 1
            return _dropped(request)
        if strikes(_SLOW):
            await book.clock.sleep(book.terms.slow_s)
        return self._answer(verb, reply)

    def _act(self, verb: str, order_id: str, document: Mapping[str, Any]) -> Reply:
        match verb:
            case "accept":
                return accept.accept(self._book, order_id)
            case "decline":
                return accept.decline(self._book, order_id)
            case "fulfill":
                return report.fulfil(self._book, order_id, document)
            case _:
                return report.cancel(self._book, order_id, document)

    async def _ask_while_accepting(self, order_id: str) -> None:
        order = self._book.orders.get(order_id)
        early = _F.EARLY_TX_STATUS in self._book.faults.for_key(order_id)
        if order is not None and early and order.polls < _EARLY_POLLS_MAX:
            await self._ask_early(order)

    async def _wait_for_row(self, verb: str, order_id: str) -> None:
        order = self._book.orders.get(order_id)
        if self._book.terms.row_lock and verb == "decline" and order is not None:
            await self._wait_for_offers(order.currency)

    async def _wait_for_offers(self, currency: str) -> None:
        """The row stays locked until the node has answered its offers (3.1)."""
        book = self._book
        give_up = book.clock.monotonic() + book.terms.node_timeout_s
        while book.offers_in_flight[currency] and book.clock.monotonic() < give_up:
            await book.clock.sleep(_ROW_LOCK_STEP_S)

    async def _balances(self, document: Mapping[str, Any]) -> web.StreamResponse:
        """One update at a time is what the node owes us; overlapping ones are seen here."""
        book = self._book
        currencies = balances.currencies_of(document)
        rows = [book.float_of(currency) for currency in currencies if currency in CURRENCIES]
        for currency in currencies:
            if book.strikes(_F.BALANCES_500, currency):
                return self._answer("balances", _BALANCES_BROKEN)
        for row in rows:
            row.in_flight += 1
            if row.in_flight > 1:
                book.judge.record(Wrong.BALANCE_OVERLAP, row.currency, f"{row.in_flight} pushes")
        try:
            if book.terms.row_lock:
                for row in rows:
                    await self._wait_for_offers(row.currency)
            if book.terms.balance_work_s > 0:
                await book.clock.sleep(book.terms.balance_work_s)
            return self._answer("balances", balances.update(book, document))
        finally:
            for row in rows:
                row.in_flight -= 1

    async def _query(
        self, verb: str, order_id: str | None, parts: list[str], document: Mapping[str, Any]
    ) -> Reply:
        match verb:
            case "order" if order_id is not None:
                return queries.one_order(self._book, order_id)
            case "orders":
                return queries.orders(self._book, document)
            case "rates":
                return queries.rates(parts[1], parts[2])
            case "stats":
                return queries.stats(self._book, document)
            case _:
                return await self._node_info()

    async def _node_info(self) -> Reply:
        """The node's own ``/info`` under ``data``; 503 if it lacks a currency of ours (4.6)."""
        if self._client.node_url is None:
            return refused(503, "Failed to fetch node info")
        answer = await self._client.get("/info")
        document = answer.document if answer.good else None
        data = document.get("data") if isinstance(document, Mapping) else None
        service = data.get("serviceInfo") if isinstance(data, Mapping) else None
        served = service.get("currencies") if isinstance(service, Mapping) else None
        if not isinstance(served, list) or not set(self._book.floats) <= set(map(str, served)):
            return refused(503, "Failed to fetch node info")
        return success("Node info fetched successfully", document)


def _route(method: str, version: str, parts: list[str]) -> tuple[str | None, str | None]:
    """The verb and the order id of a path; ``(None, None)`` if there is no such route."""
    match method, parts:
        case "POST", ["orders", order_id, verb] if verb in _VERBS and version == "v1":
            return verb, order_id
        case "POST", ["balances"] if version == "v1":
            return "balances", None
        case "GET", ["orders"]:
            return "orders", None
        case "GET", ["orders", order_id]:
            return "order", order_id
        case "GET", ["rates", _, _]:
            return "rates", None
        case "GET", ["stats" | "node-info" as verb] if version == "v1":
            return verb, None
    return None, None


def _dropped(request: web.BaseRequest) -> web.Response:
    """Close the socket without an answer; what is returned never travels."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
