"""The provision node's HTTP face (A1-A4): verify, keep, answer. Nothing is called from here.

Two rules stand over everything: ``/tx_status`` never answers 400 (the aggregator takes it for
"did not and will not pay", aggregator.md 3.2), and every answer is JSON (3).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from tidegate import __version__
from tidegate.api.body import read_body, require_json
from tidegate.api.deps import Deps, deps
from tidegate.api.problems import error_envelope, json_response, status_of
from tidegate.clock import rfc3339
from tidegate.errors import (
    BadInput,
    InvalidSignature,
    NotAuthenticated,
    TidegateError,
    UnreadableBody,
)
from tidegate.money.amount import Money, to_text
from tidegate.money.currency import parse_currency
from tidegate.payouts.facts import read_float
from tidegate.payouts.push import totals
from tidegate.ports.bank import Rejected, Resolved
from tidegate.wire.canonical import Json, parse_object
from tidegate.wire.dialect import Dialect
from tidegate.wire.inbound import (
    PAYOUT,
    Offer,
    parse_live_offer,
    parse_spec_offer,
    parse_tx_status,
    parse_verify_account,
)
from tidegate.wire.replies import TxStatus, envelope, order_received, tx_status_answer
from tidegate.wire.signature import is_fresh, verify_live, verify_spec

__all__ = ["router"]

log = structlog.get_logger()
router = APIRouter(tags=["provision node"])

_NOT_BUILT = "This node pays out only."
# The aggregator waits for 10 s (3.3); its answer would not be heard any more.
_VERIFY_LIMIT_S = 8.0


def _refused(d: Deps, error: TidegateError, dialect: str, status: int | None = None) -> Response:
    """Count, log, answer; nothing is stored. A spec body that is none has one answer, to the byte
    (3.1); why stands in the log."""
    d.app.metrics.offers_refused.labels(dialect, error.code).inc()
    if isinstance(error, NotAuthenticated):
        d.app.metrics.authentication_failures.labels("aggregator", error.code).inc()
    log.info("request.refused", dialect=dialect, code=error.code, why=error.detail)
    if dialect == Dialect.SPEC and (status or status_of(error)) == 400:
        return json_response(envelope("error", "Invalid request payload", None), 400)
    return error_envelope(error, status)


async def _live_body(d: Deps, request: Request) -> tuple[bytes, dict[str, Json]]:
    """The authentic body of a live call. The signature is checked before the body is read."""
    raw = await read_body(request)
    header = request.headers.get("x-request-signature")
    if verify_live(d.app.settings.aggregator.secrets, header, raw) is None:
        raise InvalidSignature()
    require_json(request)
    return raw, parse_object(raw)


@router.post("/new_order", summary="Offer of an order, live dialect")
async def new_order(request: Request) -> Response:
    d = deps(request)
    received_ms = d.app.clock.now_ms()
    try:
        raw, body = await _live_body(d, request)
        offer = parse_live_offer(body)
    except TidegateError as error:
        return _refused(d, error, "live")
    if offer.direction != PAYOUT:
        return json_response(envelope("error", _NOT_BUILT, None), 501)
    return await _receive(d, offer, raw, received_ms)


@router.post("/orders", summary="Offer of an order, spec dialect")
async def orders(request: Request) -> Response:
    d = deps(request)
    received_ms = d.app.clock.now_ms()
    try:
        raw = await read_body(request)
        header = request.headers.get("authorization")
        aggregator = d.app.settings.aggregator
        if verify_spec(aggregator.secrets, aggregator.client_id, header, raw) is None:
            raise InvalidSignature()
        require_json(request)
        offer = parse_spec_offer(parse_object(raw))
        if offer.timestamp is None:
            if d.app.rules.spec_require_timestamp:
                raise InvalidSignature("The body has no timestamp, which this node requires.")
        elif not is_fresh(offer.timestamp, received_ms):
            raise InvalidSignature("The timestamp is more than five minutes away from our clock.")
    except TidegateError as error:
        return _refused(d, error, "spec")
    return await _receive(d, offer, raw, received_ms)


async def _receive(d: Deps, offer: Offer, raw: bytes, received_ms: int) -> Response:
    d.app.metrics.offers_received.labels(offer.dialect.value).inc()
    received = await d.receive(offer, raw.decode("utf-8", "replace"), received_ms)
    if received.refusal is not None:
        d.app.metrics.offers_refused.labels(offer.dialect.value, received.refusal.code).inc()
        return error_envelope(received.refusal)
    return json_response(order_received(offer.order_id, received.status))


@router.post("/tx_status", summary="How an order stands, live dialect")
async def tx_status(request: Request) -> Response:
    d = deps(request)
    try:
        _, body = await _live_body(d, request)
        query = parse_tx_status(body)
    except NotAuthenticated as error:
        return _refused(d, error, "live")
    except BadInput as error:
        # Never 400: it would hand an order that may be paid to somebody else.
        status = None if error.code in {"body_too_large", "unsupported_media_type"} else 422
        return _refused(d, error, "live", status)
    try:
        standing = await d.tell_status(query.order_id)
    except Exception:
        log.exception("tx_status.failed", order_id=query.order_id)
        return json_response(tx_status_answer(TxStatus.PENDING))
    if standing is None:
        return json_response(
            envelope(
                "error",
                "This node has no such order.",
                {"status": "pending", "psp": "", "txId": "", "error": ""},
            ),
            404,
        )
    return json_response(
        tx_status_answer(standing.status, standing.psp, standing.tx_id, standing.error)
    )


@router.post("/verify_account", summary="Name of an account's holder, live dialect")
async def verify_account(request: Request) -> Response:
    d = deps(request)
    try:
        _, body = await _live_body(d, request)
        asked = parse_verify_account(body)
    except TidegateError as error:
        return _refused(d, error, "live")
    try:
        async with asyncio.timeout(_VERIFY_LIMIT_S):
            for name in d.app.rules.psps:
                code = d.app.directory.routes.get((name, asked.institution))
                if code is None:
                    continue
                found = await d.app.banks[name].resolve(code, asked.account_identifier)
                if isinstance(found, Resolved):
                    holder = found.account_name
                    return json_response(envelope("success", "Account verified", holder))
    except TimeoutError:
        log.warning("verify_account.timed_out", institution=asked.institution)
    return json_response(envelope("error", "The account could not be verified.", None), 404)


@router.post("/tx_refund", summary="Not offered: this node pays out only")
@router.post("/request_authorization", summary="Not offered: this node pays out only")
async def not_built(request: Request) -> Response:
    d = deps(request)
    try:
        await _live_body(d, request)
    except NotAuthenticated as error:
        return _refused(d, error, "live")
    except BadInput:
        pass  # it is not going to be read
    return json_response(envelope("error", _NOT_BUILT, None), 501)


@router.post("/webhooks/psp", summary="Webhook of the default PSP")
async def default_webhook(request: Request) -> Response:
    return await webhook(request, deps(request).app.rules.psps[0])


@router.post("/webhooks/psp/{psp}", summary="Webhook of a PSP")
async def webhook(request: Request, psp: str) -> Response:
    d = deps(request)
    received_ms = d.app.clock.now_ms()
    bank = d.app.banks.get(psp)
    if bank is None:
        return json_response(envelope("error", "This node has no such PSP.", None), 404)
    try:
        raw = await read_body(request)
        rejected = bank.authenticate_webhook(request.headers, raw)
        if rejected is not None:
            d.app.metrics.webhooks.labels(psp, "rejected").inc()
            log.warning("webhook.rejected", psp=psp, why=rejected.why)
            raise InvalidSignature()
        event = bank.read_webhook(raw)
        if isinstance(event, Rejected):
            raise UnreadableBody(event.why)
    except TidegateError as error:
        return error_envelope(error)
    kept = await d.keep(psp, event, raw, received_ms)
    d.app.metrics.webhooks.labels(psp, "kept" if kept else "duplicate").inc()
    if kept and event.ended_ms is not None:
        delay_s = max(0, received_ms - event.ended_ms) / 1000
        d.app.metrics.webhook_delay.labels(psp).observe(delay_s)
    return json_response(envelope("success", "Received", None))


@router.get("/health", summary="Is the process alive?")
async def health(request: Request) -> Response:
    d = deps(request)
    data = {"currencies": sorted(d.app.rules.currencies), "version": __version__}
    return json_response(envelope("success", "Node is live", data))


@router.get("/info", summary="What this node serves, and its float unless hidden")
async def info(request: Request) -> Response:
    d = deps(request)
    rules, settings = d.app.rules, d.app.settings
    data: dict[str, Any] = {
        "serviceInfo": {
            "currencies": sorted(rules.currencies),
            "version": __version__,
            "mode": settings.payouts.provision_mode,
            "totalPSPs": len(rules.psps),
            "lastUpdated": rfc3339(d.app.clock.now_ms()),
        }
    }
    if rules.show_balances:
        float_ = await d.app.database.read(read_float)

        def text(minor: int, currency: str) -> str:
            return to_text(Money(max(0, minor), parse_currency(currency)))

        data["totalBalances"] = {
            currency: {
                "availableBalance": text(sums.available, currency),
                "totalBalance": text(sums.total, currency),
            }
            for currency in sorted(rules.currencies)
            for sums in (totals(float_, currency),)
        }
        resting = d.app.circuits.resting()
        data["balances"] = [
            {
                "psp": psp,
                "currency": currency,
                "availableBalance": text(parts["available"], currency),
                "totalBalance": text(parts["available"] + parts["reserved"], currency),
                "status": "resting" if psp in resting else "active",
                "snapshotTime": rfc3339(d.app.clock.now_ms()),
            }
            for (psp, currency), parts in sorted(float_.items())
        ]
    body = json.dumps({"status": "success", "message": "OK", "data": data}, ensure_ascii=False)
    return json_response(body.encode())
