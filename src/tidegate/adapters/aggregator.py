"""The aggregator over HTTP, in both dialects. Source: ``contracts/aggregator.md`` 2 and 4, A5.

Each verb is one turn: the bodies come from ``wire.outbound``, the meanings of answers from
``wire.verdicts``, the retry table is ``turns.VERBS`` and the signing is in ``line``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from tidegate.adapters import turns
from tidegate.adapters.http import HttpClient
from tidegate.adapters.line import Line
from tidegate.adapters.turns import Turn, answer_to_question
from tidegate.clock import Clock, Randomness
from tidegate.db.exchanges import Exchange
from tidegate.errors import BadInput
from tidegate.money import parse_balance, parse_currency
from tidegate.ports.aggregator import (
    AcceptAnswer,
    Accepted,
    Dialect,
    Listed,
    OrderView,
    Query,
    Said,
    SayAnswer,
    Validation,
)
from tidegate.wire import outbound, verdicts
from tidegate.wire.answers import Answer as Reply
from tidegate.wire.answers import OrderRecord, parse_acceptance, parse_order, parse_orders
from tidegate.wire.canonical import plain

__all__ = ["HttpAggregator"]

_PAGE_SIZE: Final = 50
_PAGES_MAX: Final = 200


class HttpAggregator:
    """The aggregator at ``base_url`` (an origin, or one with ``/v1/provider`` or such).

    ``secret`` is text and used as it is. ``dialect`` chooses the form of balances only; the
    dialect of everything else is the order's. :meth:`close` closes ``http``.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        secret: str,
        http: HttpClient,
        clock: Clock,
        randomness: Randomness,
        dialect: Dialect = Dialect.SPEC,
    ) -> None:
        self._line = Line(base_url, client_id, secret, http, clock, randomness)
        self._dialect = dialect

    async def accept(self, order_id: str, dialect: Dialect, timeout_s: float) -> AcceptAnswer:
        """Accept; repeated while ``timeout_s`` lasts, unless the answer is conclusive.

        A live acceptance without a readable amount, or of another order, is ``UNKNOWN``: there is
        nothing in it that could be paid. ``GONE`` after a try that was lost is ``UNKNOWN`` too.
        """
        turn = Turn("accept", lambda reply: _acceptance(reply, order_id, dialect), turns.ACCEPT)
        await self._line.post(
            turn, _path(order_id, "accept"), outbound.accept_body, time_s=timeout_s
        )
        said = turn.said()
        details = None
        if said is Said.DONE and dialect is Dialect.LIVE and turn.reply is not None:
            details = _details(turn.reply)
        return AcceptAnswer(said, turn.message, tuple(turn.exchanges), details)

    async def decline(self, order_id: str, reason: str) -> SayAnswer:
        """Decline; a 404 is ``DONE``, for then there is no offer left."""
        turn = Turn("decline", verdicts.classify_decline, turns.DECLINE)
        return await self._say(turn, order_id, lambda now: outbound.decline_body(reason, now))

    async def fulfil_live(
        self, order_id: str, *, psp: str, tx_id: str, validation: Validation, error: str
    ) -> SayAnswer:
        """Report pending, success or failed (4.3). ``ValueError`` if ``psp`` or ``tx_id`` is empty.

        A recorded state that contradicts the report (failed against paid) is ``UNKNOWN``.
        """
        status = outbound.ValidationStatus(validation.value)
        meanings = turns.FULFIL_FAILED if validation is Validation.FAILED else turns.FULFIL
        turn = Turn("fulfil", _fulfilment(Dialect.LIVE, tx_id), meanings)
        return await self._say(
            turn,
            order_id,
            lambda now: outbound.fulfil_body(psp, tx_id, status, error, now),
        )

    async def fulfil_spec(self, order_id: str, *, transaction_hash: str) -> SayAnswer:
        """Report paid, with the PSP's own id. ``ValueError`` if it is empty."""
        turn = Turn("fulfil", _fulfilment(Dialect.SPEC, transaction_hash), turns.FULFIL)
        return await self._say(
            turn, order_id, lambda now: outbound.fulfil_spec_body(transaction_hash, now)
        )

    async def cancel(self, order_id: str, reason: str) -> SayAnswer:
        """Cancel once; after ``UNKNOWN`` it may have counted, so ask first (4.4)."""
        turn = Turn("cancel", verdicts.classify_cancel, turns.CANCEL)
        return await self._say(turn, order_id, lambda now: outbound.cancel_body(reason, now))

    async def push_balance(
        self, currency: str, *, available: Decimal, total: Decimal, reserved: Decimal
    ) -> SayAnswer:
        """Send one currency's figures in major units, once (4.5).

        ``MISCONFIGURED`` also means that this form is refused. Raises ``InvalidAmount`` for
        figures that are not exact in the currency.
        """
        kind = parse_currency(currency)
        report = outbound.BalanceReport(
            available=parse_balance(available, kind, may_be_negative=True),
            reserved=parse_balance(reserved, kind, may_be_negative=True),
            total=parse_balance(total, kind, may_be_negative=True),
        )

        def build(now: int) -> bytes:
            if self._dialect is Dialect.LIVE:
                return outbound.balance_body(report, now)
            return outbound.balances_spec_body([report], now)

        turn = Turn("balances", self._balance_taken, turns.QUESTION)
        await self._line.post(turn, "balances", build)
        return _answer(turn)

    async def order(self, order_id: str) -> Query:
        """Ask who has the order and how it stands: the oracle of ownership (4.6)."""
        turn = Turn("order", answer_to_question, turns.QUESTION)
        await self._line.get(turn, _path(order_id))
        exchanges = tuple(turn.exchanges)
        reply = turn.reply
        if reply is None:
            return Query(Listed.UNAVAILABLE, exchanges)
        if turn.said() is Said.DONE:
            try:
                record = parse_order(reply.data)
            except BadInput:
                return Query(Listed.UNAVAILABLE, exchanges)
            if record.order_id != order_id:
                return Query(Listed.UNAVAILABLE, exchanges)
            return Query(Listed.FOUND, exchanges, (_view(record),))
        # Only the aggregator's own words: a proxy or a wrong path answers 404 too.
        not_found = reply.message.strip().lower().startswith("payment order not found")
        if reply.http_status == 404 and not_found:
            return Query(Listed.NOT_OURS, exchanges)
        return Query(Listed.UNAVAILABLE, exchanges)

    async def orders(
        self, currency: str, status: str | None = None, since_ms: int | None = None
    ) -> Query:
        """All pages, oldest first, so that what arrives meanwhile moves no page; with ``since_ms``
        newest first, to the first page that is older altogether. What arrives meanwhile then
        pushes orders onto the next page, where they are read again.

        A page that cannot be read makes all of it ``UNAVAILABLE``: a gap would look like orders
        that are gone.
        """
        exchanges: list[Exchange] = []
        found: dict[str, OrderView] = {}
        asked = {"currency": currency, "ordering": "desc", "pageSize": str(_PAGE_SIZE)}
        if since_ms is None:
            asked["ordering"] = "asc"
        if status is not None:
            asked["status"] = status
        seen = 0
        for page in range(1, _PAGES_MAX + 1):
            turn = Turn("orders", answer_to_question, turns.QUESTION)
            await self._line.get(turn, "orders", {**asked, "page": str(page)})
            exchanges += turn.exchanges
            if turn.said() is not Said.DONE or turn.reply is None:
                return Query(Listed.UNAVAILABLE, tuple(exchanges))
            try:
                listed = parse_orders(turn.reply.data)
            except BadInput:
                return Query(Listed.UNAVAILABLE, tuple(exchanges))
            found |= {record.order_id: _view(record) for record in listed.orders}
            entries = len(listed.orders) + listed.skipped
            seen += entries
            made = [record.created_at_ms for record in listed.orders]
            older = since_ms is not None and all(at is not None and at < since_ms for at in made)
            if entries == 0 or seen >= listed.total or older:
                return Query(Listed.FOUND, tuple(exchanges), tuple(found.values()))
        return Query(Listed.UNAVAILABLE, tuple(exchanges))

    async def node_info(self) -> SayAnswer:
        """Ask the aggregator to read our ``/info``: a test of being reachable (4.6)."""
        turn = Turn("node_info", answer_to_question, turns.QUESTION)
        await self._line.get(turn, "node-info")
        return _answer(turn)

    async def rates(self, token: str, currency: str) -> Mapping[str, Any] | None:
        """``{"buy": {..}, "sell": {..}}``, numbers as text; ``None`` if it was not answered."""
        turn = Turn("rates", answer_to_question, turns.QUESTION)
        await self._line.get(turn, f"rates/{quote(token, safe='')}/{quote(currency, safe='')}")
        return _data(turn)

    async def stats(self, currency: str) -> Mapping[str, Any] | None:
        """``{"totalOrders", "totalFiatVolume", "totalCryptoVolume"}``, numbers as text."""
        turn = Turn("stats", answer_to_question, turns.QUESTION)
        await self._line.get(turn, "stats", {"currency": currency})
        return _data(turn)

    async def close(self) -> None:
        await self._line.close()

    async def _say(self, turn: Turn, order_id: str, build: Callable[[int], bytes]) -> SayAnswer:
        # The aggregator spells it so.
        word = "fulfill" if turn.name == "fulfil" else turn.name
        await self._line.post(turn, _path(order_id, word), build)
        return _answer(turn)

    def _balance_taken(self, reply: Reply) -> turns.Question:
        """Spec leaves the answer open: there a 2xx that does not say ``error`` is enough."""
        open_answer = self._dialect is Dialect.SPEC and reply.envelope_status != "error"
        if open_answer and 200 <= reply.http_status < 300:
            return turns.Question.ANSWERED
        return answer_to_question(reply)


def _path(order_id: str, verb: str | None = None) -> str:
    path = f"orders/{quote(order_id, safe='')}"
    return f"{path}/{verb}" if verb else path


def _acceptance(reply: Reply, order_id: str, dialect: Dialect) -> verdicts.AcceptAnswer:
    meaning = verdicts.classify_accept(reply)
    if meaning is not verdicts.AcceptAnswer.ACCEPTED or dialect is Dialect.SPEC:
        return meaning
    details = parse_acceptance(reply.data)
    usable = (
        details.amount is not None
        and details.amount > 0
        and details.order_id in ("", order_id)
        and details.direction in ("", "payout")
    )
    return meaning if usable else verdicts.AcceptAnswer.INCONCLUSIVE


def _details(reply: Reply) -> Accepted | None:
    accepted = parse_acceptance(reply.data)
    raw = plain(reply.data)
    if accepted.amount is None or not isinstance(raw, dict):
        return None
    recipient = accepted.recipient
    return Accepted(
        amount=accepted.amount,
        institution=recipient.institution,
        account_identifier=recipient.account_identifier,
        account_name=recipient.account_name,
        memo=recipient.memo or None,
        metadata=recipient.metadata,
        raw=raw,
    )


def _fulfilment(dialect: Dialect, tx_id: str) -> Callable[[Reply], verdicts.FulfilAnswer]:
    def classify(reply: Reply) -> verdicts.FulfilAnswer:
        meaning = verdicts.classify_fulfil(reply, dialect)
        if meaning is verdicts.FulfilAnswer.FOREIGN_TXID and _standing(reply) == tx_id:
            # Ours stands there already, in a state we did not expect: ask.
            return verdicts.FulfilAnswer.INCONCLUSIVE
        return meaning

    return classify


def _standing(reply: Reply) -> str | None:
    existing = verdicts.existing_fulfilment(reply.message)
    return existing[1] if existing else None


def _answer(turn: Turn) -> SayAnswer:
    said = turn.said()
    foreign = _standing(turn.reply) if said is Said.CONFLICT and turn.reply is not None else None
    return SayAnswer(said, turn.message, tuple(turn.exchanges), foreign, turn.retry_after_s)


def _view(record: OrderRecord) -> OrderView:
    return OrderView(
        order_id=record.order_id,
        status=record.status,
        token_amount=record.amount,
        rate=record.rate,
        institution=record.recipient.institution,
        account_identifier=record.recipient.account_identifier,
        account_name=record.recipient.account_name,
        memo=record.recipient.memo or None,
    )


def _data(turn: Turn) -> Mapping[str, Any] | None:
    if turn.said() is not Said.DONE or turn.reply is None:
        return None
    data = plain(turn.reply.data)
    return data if isinstance(data, dict) else None
