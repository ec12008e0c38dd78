"""Sending offers: LIVE's ``/new_order``, SPEC's ``/orders``, and the faults of both (3.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from tidegate.clock import rfc3339
from tidegate.sandbox.aggregator.book import Book
from tidegate.sandbox.aggregator.judgement import Wrong
from tidegate.sandbox.aggregator.node_client import Answer, NodeClient
from tidegate.sandbox.aggregator.orders import Offer, Order, Status
from tidegate.sandbox.aggregator.signing import sign, spec_order_bytes
from tidegate.sandbox.faults import AggregatorFault

__all__ = ["Offering"]

_STALE_S = 3600


class Offering:
    """Calls the node with offers and draws LIVE's conclusions from its answers."""

    def __init__(
        self,
        book: Book,
        client: NodeClient,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        ask_early: Callable[[Order], Coroutine[Any, Any, None]],
    ) -> None:
        self._book = book
        self._client = client
        self._spawn = spawn
        self._ask_early = ask_early

    def again(self, order: Order) -> None:
        """Offer an order anew, without anybody waiting for it."""
        self._spawn(self.offer(order))

    async def offer(self, order: Order) -> None:
        """Offer until the node takes it or has spoilt it too often.

        A failed call is repeated at once at the same node, as LIVE does: once as the pre-set
        provider, once per match in the queue. A private order gets one try.
        """
        while order.status is Status.PENDING and not self._book.has_key(order):
            offer = self._book.open_offer(order)
            if order.otc or self._strikes(AggregatorFault.OFFER_NEVER_SENT, order):
                return
            if await self._offer_once(order, offer):
                return
            if offer.outcome != "open":
                return  # accepted, declined or expired before its answer came
            offer.outcome = "failed"
            order.key_expires = None
            order.exclusions += 1
            self._book.release(order)
            self._book.move(order, Status.PENDING, "offer_failed")
            if order.private or order.exclusions >= self._book.terms.offers_max:
                return

    def _strikes(self, fault: AggregatorFault, order: Order) -> bool:
        return self._book.strikes(fault, order.id)

    async def _offer_once(self, order: Order, offer: Offer) -> bool:
        """One offer with the faults that are set for it; whether the node has taken it."""
        if not self._book.faults.for_key(order.id):
            return await self._call(order, offer)
        if self._strikes(AggregatorFault.EARLY_TX_STATUS, order):
            self._spawn(self._ask_early(order))
        if self._strikes(AggregatorFault.OFFER_STALE_SIGNATURE, order):
            return await self._call(order, offer, forged=True)
        if self._strikes(AggregatorFault.OFFER_WRONG_TYPES, order):
            return await self._call(order, offer, wrong_types=True)
        if self._strikes(AggregatorFault.OFFER_TWICE_CONCURRENTLY, order):
            taken = await asyncio.gather(self._call(order, offer), self._call(order, offer))
            return any(taken)
        taken_once = await self._call(order, offer)
        if self._strikes(AggregatorFault.OFFER_TWICE, order):
            await self._call(order, offer)
        if self._strikes(AggregatorFault.OFFER_OTHER_AMOUNT, order):
            await self._call(order, offer, amount=order.amount + 1)
        return taken_once

    async def _call(
        self,
        order: Order,
        offer: Offer,
        *,
        forged: bool = False,
        wrong_types: bool = False,
        amount: Decimal | None = None,
    ) -> bool:
        book, currency = self._book, order.currency
        sent = book.clock.monotonic()
        book.offers_in_flight[currency] += 1
        try:
            if order.dialect == "live":
                answer = await self._call_live(order, forged, wrong_types, amount)
            else:
                answer = await self._call_spec(order, offer, forged, wrong_types, amount)
        finally:
            book.offers_in_flight[currency] -= 1
        now = book.clock.monotonic()
        offer.answered, offer.http_status = now, answer.status
        if answer.good:
            book.mark(order, "answered")
        book.counters[f"offer {answer.status}"] += 1
        spoilt = wrong_types or (amount is not None and order.dialect == "spec")
        self._judge(order, answer, now - sent, forged=forged, spoilt=spoilt)
        return answer.good

    async def _call_live(
        self, order: Order, forged: bool, wrong_types: bool, amount: Decimal | None
    ) -> Answer:
        payload: dict[str, Any] = {
            "amount": order.wire_amount if amount is None else str(amount),
            "currency": order.currency,
            "institution": order.institution,
            "orderId": order.id,
        }
        if order.exclude_psps:
            payload["excludePsps"] = list(order.exclude_psps)
        if wrong_types:
            payload |= {"amount": float(order.amount), "institution": ["?"], "excludePsps": "x"}
        signature = sign(b"another secret", b"another body") if forged else None
        return await self._client.post("/new_order", payload, signature=signature)

    async def _call_spec(
        self,
        order: Order,
        offer: Offer,
        forged: bool,
        wrong_types: bool,
        amount: Decimal | None,
    ) -> Answer:
        now_ms = self._book.clock.now_ms()
        recipient: dict[str, Any] = {
            "institution": order.institution,
            "accountIdentifier": order.account,
            "accountName": order.account_name,
        }
        if order.memo:
            recipient["memo"] = order.memo
        payload: dict[str, Any] = {
            "orderId": order.id,
            "amount": float(order.amount if amount is None else amount),
            "currency": order.currency,
            "token": order.token,
            "tokenAmount": float(order.token_amount),
            "network": order.network,
            "recipient": recipient,
        }
        if order.reference is not None:
            payload["reference"] = order.reference
        if order.with_expiry:
            left_ms = round((offer.expires - self._book.clock.monotonic()) * 1000)
            payload["expiresAt"] = rfc3339(now_ms + left_ms)
        if order.with_timestamp or forged:
            payload["timestamp"] = now_ms // 1000 - (_STALE_S if forged else 0)
        if wrong_types:
            payload |= {"amount": "much", "recipient": "somebody"}
        style = self._book.terms.spec_style
        body, signature = spec_order_bytes(self._client.secret, payload, style)
        return await self._client.post_spec("/orders", body, signature)

    def _judge(
        self, order: Order, answer: Answer, took_s: float, *, forged: bool, spoilt: bool
    ) -> None:
        """Hold a wrong answer against the node; one that never came may be the network's."""
        record = self._book.judge.record
        if answer.status == 0:
            return
        if forged:
            if answer.good:
                record(Wrong.FORGED_OFFER_TAKEN, order.id, f"HTTP {answer.status}")
            return
        if 300 <= answer.status < 400:
            record(Wrong.OFFER_REDIRECTED, order.id, f"HTTP {answer.status}")
        elif answer.status >= 400 and not spoilt:
            record(Wrong.OFFER_REFUSED, order.id, f"HTTP {answer.status} {answer.text[:200]}")
        elif not answer.is_json:
            record(Wrong.OFFER_NOT_JSON, order.id, answer.text[:200] or "no body")
        if took_s > self._book.terms.slow_answer_s:
            record(Wrong.OFFER_SLOW, order.id, f"{took_s:.2f} s")
