"""The aggregator: checks every byte, keeps its own order book, judges what the node tells it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.acceptance.counterparty.orders import (
    Order,
    OrderBook,
    error,
    success,
    told_of,
)
from tests.acceptance.counterparty.script import Scripts
from tests.acceptance.counterparty.server import Answer, Call, Double, Reply, send
from tests.acceptance.counterparty.signing import go_json, python_json, sign

__all__ = ["CLIENT_ID", "SECRET", "Aggregator", "Balance", "Truth"]

CLIENT_ID = "5a0f6c1e-8f53-4c0e-9d3b-1f1a2b3c4d5e"
SECRET = "Zml2ZS1ob3JzZXMtb2Ytc3RvbmUtYXQtdGhlLWdhdGU="

_VERB = re.compile(r"/v1/provider/orders/([^/]+)/(accept|decline|fulfill|cancel)")
_ONE = re.compile(r"/v1/provider/orders/([^/]+)")
_DECIMAL = re.compile(r"[-+]?\d+(\.\d+)?")
_FRESH_S = 5

Truth = Callable[[Order], str]
"""What the bank knows of an order: ``nothing``, ``open``, ``paid`` or ``failed``."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One currency as the node reported it."""

    dialect: str
    currency: str
    available: Decimal
    total: Decimal
    began: float
    ended: float


_ROW_LOCK_S = 2.0


class Aggregator(Double):
    """Both dialects at once: an order has its own, ``dialect`` is that of the balances.

    Scripts: ``accept``, ``decline``, ``fulfill``, ``cancel``, ``get`` by order id, and
    ``balances`` by currency.
    """

    def __init__(self, dialect: str = "live", fork: bool = False) -> None:
        self.dialect = dialect
        self.book = OrderBook(fork)
        self.scripts = Scripts()
        self.calls: list[Call] = []
        self.balances: list[Balance] = []
        self.truth: Truth = lambda order: "nothing"
        self.node_url = ""
        self._pushing: set[str] = set()
        super().__init__()

    # -- calls to the node

    def post(self, path: str, body: bytes, signature: str | None = None) -> Answer:
        """A live call: signed over the exact bytes, no client id, no time (2.4)."""
        headers = {
            "Content-Type": "application/json",
            "X-Request-Signature": sign(SECRET, body) if signature is None else signature,
        }
        return send("POST", self.node_url + path, body, headers)

    def offer(self, order: Order, ttl_s: float = 30.0, **more: Any) -> Answer:
        """Offer the order in its dialect, as a new round of the book."""
        with self.lock:
            self.book.offer(order, ttl_s)
            order.in_flight += 1
        try:
            return self.repeat_offer(order, **more)
        finally:
            with self.lock:
                order.in_flight -= 1

    def repeat_offer(self, order: Order, **more: Any) -> Answer:
        """Send an offer's body again without touching the book; ``more`` replaces fields."""
        if order.dialect == "spec":
            return self.post_spec({**self.spec_body(order), **more})
        body = {
            "amount": order.amount,
            "currency": order.currency,
            "institution": order.institution,
            "orderId": order.id,
            **more,
        }
        return self.post("/new_order", go_json(body))

    def spec_body(self, order: Order) -> dict[str, Any]:
        """The documented body: amounts are JSON numbers, no timestamp (3.1)."""
        return {
            "orderId": order.id,
            "amount": float(order.amount),
            "currency": order.currency,
            "token": "USDT",
            "tokenAmount": float(order.token_amount),
            "network": "base",
            "recipient": order.recipient(),
            "expiresAt": (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def post_spec(
        self, body: Any, *, client: str = CLIENT_ID, signed: bytes | None = None
    ) -> Answer:
        """A spec call; ``body`` may be bytes, ``signed`` is what to sign instead of them."""
        raw = body if isinstance(body, bytes) else python_json(body)
        signature = sign(SECRET, raw if signed is None else signed)
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"HMAC {client}:{signature}",
        }
        return send("POST", self.node_url + "/orders", raw, headers)

    def ask_status(self, order: Order, shape: int = 1) -> Answer:
        """``/tx_status`` in one of its three shapes (3.2)."""
        row = order.fulfilments[-1] if order.fulfilments else None
        body = {"currency": order.currency, "reference": order.id}
        if shape > 1:
            body |= {"psp": row.psp if row else "lenco", "txId": row.tx_id if row else "unknown"}
        if shape == 3:
            body["orderId"] = body.pop("reference")
        return self.post("/tx_status", go_json(body))

    # -- calls from the node

    def handle(self, call: Call) -> Reply | None:
        with self.lock:
            self.calls.append(call)
        public = _public(call)
        if public is not None:
            return public
        refusal = self._authenticate(call)
        if refusal is not None:
            return refusal
        if (found := _VERB.fullmatch(call.path)) and call.method == "POST":
            return self._verb(found[1], found[2], call)
        if (found := _ONE.fullmatch(call.path)) and call.method == "GET":
            return self._verb(found[1], "get", call)
        if call.path == "/v1/provider/balances" and call.method == "POST":
            return self._balances(call)
        if call.method == "GET" and call.path.startswith("/v1/provider/"):
            return self._query(call)
        self.fault(f"{call.method} {call.path} does not exist")
        return error(404, "Route Not Found")

    def _authenticate(self, call: Call) -> Reply | None:
        """LIVE's order of checks (2.5); what a good node never causes is a fault."""
        refusal = self._why_not(call)
        if refusal is not None:
            self.fault(f"{call.method} {call.path}: {refusal.body['message']}")
        if "client-type" in call.headers:
            self.fault("sent Client-Type, which switches authentication (1)")
        return refusal

    def _why_not(self, call: Call) -> Reply | None:
        header = call.headers.get("authorization", "")
        if not header:
            return error(401, "Missing Authorization header")
        client, _, signature = header.removeprefix("HMAC ").partition(":")
        if not header.startswith("HMAC ") or not signature:
            return error(401, "Invalid Authorization header format")
        signed: Any = dict(call.query) if call.method == "GET" else call.json
        if not isinstance(signed, dict):
            return error(400, "Invalid payload format")
        if call.method == "GET" and signed.get("timestamp", "").isdigit():
            signed["timestamp"] = int(signed["timestamp"])
        timestamp = signed.get("timestamp")
        if not isinstance(timestamp, int) or isinstance(timestamp, bool):
            return error(401, "Missing or invalid timestamp in payload")
        # The wire allows five minutes; a node that stamps every try anew is never that late.
        if abs(time.time() - timestamp) > _FRESH_S:
            return error(401, "Invalid timestamp")
        if client != CLIENT_ID:
            return error(401, "Invalid API key or token")
        canonical = go_json(signed)
        if signature != sign(SECRET, canonical):
            return error(401, "Invalid HMAC signature")
        if call.method == "POST" and call.body != canonical:
            self.fault(f"{call.path}: the bytes on the wire are not the canonical ones (2.3)")
        return None

    def _verb(self, order_id: str, verb: str, call: Call) -> Reply | None:
        order = self.book.orders.get(order_id)
        if order is None:
            if verb != "get":
                self.fault(f"{verb} of an order that never was offered")
            return error(404, "Order not found" if verb == "accept" else "Payment order not found")
        body = told_of(call)
        # A row lock is held until the node has answered the offer (3.1): a decline sent right
        # after the answer waits for it to be read, one sent instead of it waits in vain.
        patience = time.monotonic() + _ROW_LOCK_S
        while verb == "decline" and order.in_flight and time.monotonic() < patience:
            time.sleep(0.005)
        # Before anybody sees that it was told: what a test scripts then is for the next call.
        step = self.scripts.next(verb, order.id)
        with self.lock:
            place = len(order.told)
            order.told.append((order.round, verb, body, None))
            if verb != "get":
                self._judge(order, verb, body)

        def act() -> Reply:
            with self.lock:
                return self._act(order, verb, body)

        reply = self.follow(step, act)
        with self.lock:
            status = reply.status if reply is not None else None
            order.told[place] = (*order.told[place][:3], status)
        return reply

    def _act(self, order: Order, verb: str, body: dict[str, Any]) -> Reply:
        match verb:
            case "accept":
                return self.book.accept(order)
            case "decline":
                return self.book.decline(order)
            case "cancel":
                return self.book.cancel(order, body)
            case "fulfill" if order.dialect == "spec":
                return self.book.fulfil_spec(order, body)
            case "fulfill":
                return self.book.fulfil(order, body)
        return self.book.get(order)

    def _judge(self, order: Order, verb: str, body: dict[str, Any]) -> None:
        """What the contract forbids, whoever would have let it pass (7)."""
        now = [each for each in order.told if each[0] == order.round][:-1]
        before = [name for _, name, _, _ in now]
        truth = self.truth(order)
        if verb == "decline":
            if order.in_flight:
                self.fault("declined while the offer waited for its answer (7.11)")
            if order.ours:
                self.fault("declined an accepted order (4.2)")
        if verb == "cancel":
            if any(
                n == "cancel" and status is not None and status < 400 for _, n, _, status in now
            ):
                self.fault("cancelled twice in a round (7.8)")
            if order.dialect == "live" and "fulfill" in before:
                self.fault("cancelled what it had reported on (DESIGN 5.5)")
            allowed = ("nothing",) if order.dialect == "live" else ("nothing", "failed")
            if truth not in allowed:
                self.fault(f"cancelled while the bank's truth was {truth} (7.8)")
            if not isinstance(body.get("reason"), str):
                self.fault("cancelled without a reason (4.4)")
        if verb == "fulfill" and order.dialect == "spec":
            if set(body) != {"transactionHash"}:
                self.fault(f"spec fulfil with fields {sorted(body)} (4.3)")
            if truth != "paid":
                self.fault(f"spec fulfil while the bank's truth was {truth}")
        elif verb == "fulfill":
            self._judge_fulfil(order, body, truth, now)

    def _judge_fulfil(
        self,
        order: Order,
        body: dict[str, Any],
        truth: str,
        now: list[tuple[int, str, Any, int | None]],
    ) -> None:
        status, tx_id = body.get("validationStatus"), body.get("txId")
        if not all(isinstance(value, str) for value in body.values()):
            self.fault("fulfil with a value that is no string (4.3)")
        if status not in ("pending", "success", "failed"):
            self.fault(f"fulfil with status {status!r} (4.3)")
        if status == "success" and truth != "paid":
            self.fault(f"reported success while the bank's truth was {truth}")
        if status == "failed" and truth != "failed":
            self.fault(f"reported failed while the bank's truth was {truth}")
        if status == "failed" and not body.get("validationError"):
            self.fault("reported failed without an error")
        if order.status == "settling" and status == "success":
            self.fault("repeated success while the order was settling (7.9)")
        earlier = [b for _, name, b, _ in now if name == "fulfill"]
        if any(b.get("txId") != tx_id for b in earlier):
            self.fault("the txId changed within a round (4.3)")
        done = [b["validationStatus"] for b in earlier if b.get("validationStatus") != "pending"]
        if done and status not in done:
            self.fault(f"reported {status} after {done[-1]}")
        for other in self.book.orders.values():
            if other is not order and any(b.get("txId") == tx_id for b in other.bodies("fulfill")):
                self.fault("one txId for two orders (4.3)")

    def _balances(self, call: Call) -> Reply | None:
        body, found = told_of(call), []
        if self.dialect == "live":
            fields = ("availableBalance", "totalBalance", "reservedBalance")
            if set(body) != {"currency", *fields}:
                self.fault(f"balances with fields {sorted(body)} (4.5)")
                return error(400, "Failed to validate payload")
            texts = [body[each] for each in fields]
            if not all(isinstance(each, str) and _DECIMAL.fullmatch(each) for each in texts):
                self.fault(f"balances not as plain decimal strings: {texts} (4.5)")
                return Reply(500, b"")
            found.append((body["currency"], Decimal(texts[0]), Decimal(texts[1])))
        else:
            rows = body.get("balances")
            if set(body) != {"balances"} or not isinstance(rows, list):
                self.fault(f"spec balances with fields {sorted(body)} (4.5)")
                return error(400, "Invalid request payload")
            for row in rows:
                figures = [row.get(each) for each in ("available", "total", "reserved")]
                if not all(isinstance(each, int | float) for each in figures):
                    self.fault(f"spec balances not as numbers: {row} (4.5)")
                    return error(400, "Invalid request payload")
                found.append((row["currency"], *(Decimal(str(each)) for each in figures[:2])))
        keys = {currency for currency, _, _ in found}
        with self.lock:
            if keys & self._pushing:
                self.fault("two balance reports of one currency at a time (4.5)")
            self._pushing |= keys
        step = self.scripts.next("balances", found[0][0] if found else "")
        reply = self.follow(step, lambda: success("Balance updated successfully"))
        with self.lock:
            self._pushing -= keys
            now = time.monotonic()
            self.balances += [
                Balance(self.dialect, *each, began=call.began, ended=now) for each in found
            ]
        return reply

    def _query(self, call: Call) -> Reply:
        match call.path.removeprefix("/v1/provider/").split("/"):
            case ["orders"]:
                if not call.query.get("currency"):
                    return error(400, "Currency is required")
                return self._list(call.query)
            case ["rates", _, _]:
                rate = {"marketRate": "1500", "minimumRate": "1480", "maximumRate": "1520"}
                return success("Rate fetched successfully", {"buy": rate, "sell": rate})
            case ["stats"]:
                figures = {"totalOrders": 0, "totalFiatVolume": "0", "totalCryptoVolume": "0"}
                return success("Provider stats fetched successfully", figures)
            case ["node-info"]:
                answer = send("GET", self.node_url + "/info")
                return success("Node info fetched successfully", answer.json)
        self.fault(f"GET {call.path} does not exist")
        return error(404, "Route Not Found")

    def _list(self, query: dict[str, str]) -> Reply:
        with self.lock:
            wanted = query.get("status")
            found = [
                self.book.listed(order)
                for order in self.book.orders.values()
                if order.ours and (wanted in (None, order.status))
            ]
        page, size = int(query.get("page", "1")), int(query.get("pageSize", "10"))
        shown = found[(page - 1) * size : page * size]
        data = {"total": len(found), "page": page, "pageSize": size, "orders": shown or None}
        return success("Orders successfully retrieved", data)


def _public(call: Call) -> Reply | None:
    if call.path in ("/health", "/ready"):
        return Reply(200, {"live": "ok"})
    if call.path == "/v1/currencies":
        naira = {"code": "NGN", "name": "Nigerian Naira", "shortName": "Naira", "decimals": 2}
        rates = {"symbol": "₦", "marketBuyRate": "1500", "marketSellRate": "1500"}
        return success("OK", [naira | rates])
    if call.path.startswith("/v1/institutions/"):
        return success("OK", [{"name": "Access Bank", "code": "ABNGNGLA", "type": "bank"}])
    return None
