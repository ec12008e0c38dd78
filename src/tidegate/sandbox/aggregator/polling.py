"""Asking the node what became of a payout: ``/tx_status`` in its three shapes (3.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from tidegate.sandbox.aggregator.book import Book
from tidegate.sandbox.aggregator.judgement import Wrong
from tidegate.sandbox.aggregator.node_client import Answer, NodeClient
from tidegate.sandbox.aggregator.orders import Fulfilment, Order, Status

__all__ = ["Polling"]

_GAVE_UP = "Failed to get transaction status after 5 minutes"
_CALLS_AT_ONCE = 16


class Polling:
    """One round at a time over everything that is due; a round is skipped while one runs."""

    def __init__(
        self,
        book: Book,
        client: NodeClient,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._book = book
        self._client = client
        self._spawn = spawn
        self._running = False

    def tick(self) -> None:
        """Begin a round unless the last one is still going."""
        if not self._running and self._client.node_url is not None:
            self._spawn(self.round())

    async def round(self) -> None:
        """Ask about every order that is due now."""
        if self._running:
            return
        self._running = True
        try:
            slots = asyncio.Semaphore(_CALLS_AT_ONCE)

            async def ask(order: Order, row: Fulfilment | None, retry: bool) -> None:
                async with slots:
                    await self._ask(order, row, retry=retry)

            await asyncio.gather(*(ask(*due) for due in list(self._due())))
        finally:
            self._running = False

    async def ask(self, order: Order) -> None:
        """Ask about one order now, due or not."""
        await self._ask(order, order.open_fulfilment(), retry=False)

    def _due(self) -> Iterator[tuple[Order, Fulfilment | None, bool]]:
        terms, now = self._book.terms, self._book.clock.monotonic()
        for order in self._book.unfinished.values():
            if order.otc or not order.ours:
                continue
            row = order.open_fulfilment()
            if row is not None and row.status == "pending":
                reported = order.status in (Status.FULFILLED, Status.CANCELLED)
                if reported and now - row.created >= terms.fulfilment_validity_s:
                    yield order, row, False
            elif row is None and order.status is Status.FULFILLING:
                if now - order.updated >= terms.first_poll_after_s:
                    yield order, None, False
            else:
                failed = order.failed_fulfilment()
                if failed is None or failed.error != _GAVE_UP:
                    continue
                windows = terms.retry_windows_s
                if failed.retries < len(windows) and (
                    now - failed.created >= windows[failed.retries]
                ):
                    failed.retries += 1
                    yield order, failed, True

    async def _ask(self, order: Order, row: Fulfilment | None, *, retry: bool) -> None:
        payload = {"currency": order.currency}
        payload["orderId" if retry else "reference"] = order.id
        if row is not None:
            payload |= {"psp": row.psp, "txId": row.tx_id}
        order.polls += 1
        offer_number = order.offer_number
        answer = await self._client.post("/tx_status", payload)
        self._book.counters[f"tx_status {answer.status}"] += 1
        self._book.mark(order, "polled")
        if answer.status >= 400:
            if answer.status == 400:
                self._book.judge.record(Wrong.TX_STATUS_400, order.id, answer.text[:200])
        elif answer.status and not answer.is_json:
            self._book.judge.record(Wrong.TX_STATUS_NOT_JSON, order.id, answer.text[:200])
        if order.offer_number != offer_number:
            return  # offered anew while the node was thinking
        if not answer.good:
            self._apply_error(order, row, answer)
            return
        read = self._read(order, answer)
        if read is not None:
            self._apply(order, row, *read)

    def _apply_error(self, order: Order, row: Fulfilment | None, answer: Answer) -> None:
        """Only a 400 means anything: shape 1 re-opens the order, an old shape 2 gives up."""
        refused = answer.status == 400
        if self._book.terms.substring_trap:
            refused = "400" in answer.error
        if not refused:
            return
        if row is None:
            if order.status is Status.FULFILLING:
                self._book.move(order, Status.PENDING, "reset_by_400")
            return
        age_s = self._book.clock.monotonic() - row.created
        if row.status == "pending" and age_s > self._book.terms.failure_window_s:
            row.status, row.error = "failed", _GAVE_UP
            self._book.move(order, Status.FULFILLED, "gave_up")

    def _read(self, order: Order, answer: Answer) -> tuple[str, str, str, str] | None:
        """``status, psp, txId, error``; ``None`` where LIVE's process would have died."""
        data = answer.document.get("data") if isinstance(answer.document, Mapping) else None
        if not isinstance(data, Mapping):
            self._record(Wrong.TX_STATUS_FIELDS, order, "data is no object")
            return None
        wrong = [name for name in ("status", "psp", "txId") if not isinstance(data.get(name), str)]
        status = data.get("status")
        # FORK asserts the error text too once the status is failed.
        if status == "failed" and not isinstance(data.get("error"), str):
            wrong.append("error")
        if wrong:
            self._record(Wrong.TX_STATUS_FIELDS, order, f"no strings: {', '.join(wrong)}")
            return None
        return data["status"], data["psp"], data["txId"], str(data.get("error") or "")

    def _apply(
        self, order: Order, row: Fulfilment | None, word: str, psp: str, tx_id: str, error: str
    ) -> None:
        self._judge(order, row, word, psp, tx_id)
        if word not in ("success", "failed"):
            return
        open_row = order.open_fulfilment()
        if open_row is not None and open_row.status == "success":
            return  # fulfil overtook this answer
        if row is None:
            if order.status is not Status.FULFILLING or order.fulfilments:
                return
            row = Fulfilment(
                tx_id,
                order.id,
                psp,
                "pending",
                self._book.clock.monotonic(),
                offer_number=order.accepted_offer,
            )
            self._book.by_tx.setdefault(tx_id, row)
            order.fulfilments.append(row)
        if word == "success":
            row.status, row.error = "success", ""
            # Neither the reservation is released nor settlement started at once (3.2).
            self._book.move(order, Status.VALIDATED, "success_polled")
            self._book.settle_later(order, self._book.terms.polled_settling_after_s)
        elif row.status != "failed":
            row.status, row.error = "failed", error
            order.exclusions += 1
            self._book.move(order, Status.FULFILLED, "failed_polled")

    def _judge(self, order: Order, row: Fulfilment | None, word: str, psp: str, tx_id: str) -> None:
        if word not in ("pending", "success", "failed"):
            self._record(Wrong.TX_STATUS_UNKNOWN_WORD, order, repr(word))
        if word == "failed" and not (psp and tx_id):
            self._record(Wrong.TX_STATUS_FAILED_BARE, order, "psp or txId is empty")
        if word == "success" and not tx_id:
            self._record(Wrong.TX_STATUS_FIELDS, order, "success without txId")
        known = row or order.open_fulfilment()
        # SPEC's fulfil carries the PSP's own id, so only LIVE orders can be compared.
        if known and order.dialect == "live" and tx_id and tx_id != known.tx_id:
            self._record(Wrong.TX_STATUS_OTHER_TX, order, f"{tx_id} is not {known.tx_id}")
        if word == "failed" and known is not None and known.status == "success":
            self._record(Wrong.TX_STATUS_TAKEN_BACK, order, "success became failed")

    def _record(self, wrong: Wrong, order: Order, detail: str) -> None:
        self._book.judge.record(wrong, order.id, detail)
