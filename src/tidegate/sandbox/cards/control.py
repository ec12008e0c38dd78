"""``/_sandbox/...``: the processor's insides as JSON, for tests and demos in another process.

No key; amounts are Stripe's minor units. ``payment`` is a ``tidegate_payment`` or a ``pi_...``. ::

    GET  state                            totals, violations, counters
    GET  charges/{payment}                the lines by which it took money
    GET  ledger                           every line of the books
    GET  faults                           the plan
    POST faults                           FaultPlan.load, plus "seconds": {"slow_s": 1, ...}
    POST heal
    POST authenticate                     {"payment": ..., "approve"?: bool}
    POST expire                           {"payment": ...}
    POST dispute                          {"payment": ..., "amount"?: ..., "reason"?: ...}
    POST close-dispute                    {"dispute": ..., "won": bool}
    POST decide-refund                    {"refund": ..., "status": "succeeded" or "failed"}
    POST settle                           everything that waits for its settlement
    POST webhook-url                      {"url": ... or null}
    POST refuse                           {"seconds"?: number}; answered before it begins
    GET, POST 3ds/{payment intent}        the cardholder's page
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from tidegate.clock import rfc3339
from tidegate.sandbox.cards import three_ds
from tidegate.sandbox.cards.answers import encoded, raw
from tidegate.sandbox.cards.books import Line

if TYPE_CHECKING:
    from tidegate.sandbox.cards.server import SandboxCards

__all__ = ["PREFIX", "answer"]

PREFIX: Final = "/_sandbox/"


async def answer(cards: SandboxCards, request: web.BaseRequest) -> web.Response:
    """Answer one control request: 400 for what makes no sense, 404 for what is not there."""
    if request.path.startswith(three_ds.PREFIX):
        return await three_ds.answer(cards, request)
    command = request.path[len(PREFIX) :]
    try:
        if request.method == "GET":
            return raw(encoded(_read(cards, command)))
        sent = await request.read()
        order = json.loads(sent) if sent else {}
        if not isinstance(order, dict):
            raise ValueError("the body must be a JSON object")
        return raw(encoded(_act(cards, command, order)))
    except KeyError as missing:
        return raw(encoded({"error": f"not found: {missing.args[0]}"}), 404)
    except (ValueError, TypeError) as refused:
        return raw(encoded({"error": str(refused)}), 400)


def _read(cards: SandboxCards, command: str) -> Any:
    match command.split("/"):
        case ["state"]:
            return cards.state()
        case ["charges", payment]:
            return [_line(line) for line in cards.charges_of(payment)]
        case ["ledger"]:
            return [_line(line) for line in cards.books.lines]
        case ["faults"]:
            return cards.faults.plan.as_json()
    raise KeyError(command)


def _act(cards: SandboxCards, command: str, order: dict[str, Any]) -> Any:
    match command:
        case "faults":
            _change_faults(cards, order)
        case "heal":
            cards.heal()
        case "authenticate":
            cards.authenticate(order["payment"], approve=bool(order.get("approve", True)))
        case "expire":
            cards.expire(order["payment"])
        case "dispute":
            amount, reason = order.get("amount"), order.get("reason", "fraudulent")
            return cards.dispute(order["payment"], amount, reason).json()
        case "close-dispute":
            return cards.close_dispute(order["dispute"], won=bool(order["won"])).json()
        case "decide-refund":
            return cards.decide_refund(order["refund"], order["status"]).json()
        case "settle":
            cards.settle()
        case "webhook-url":
            cards.set_webhook_url(order["url"])
        case "refuse":
            # Begun after the answer has been written: nobody can be told afterwards.
            asyncio.get_running_loop().call_later(
                0.05, cards.refuse_connections, order.get("seconds")
            )
        case _:
            raise KeyError(command)
    return cards.state()


def _line(line: Line) -> dict[str, Any]:
    return {
        "at": rfc3339(line.at_ms),
        "kind": line.kind.value,
        "payment": line.payment,
        "source": line.source,
        "amount": line.amount,
        "currency": line.currency,
    }


def _change_faults(cards: SandboxCards, order: dict[str, Any]) -> None:
    seconds: dict[str, float] = order.get("seconds", {})
    known = {field.name for field in fields(cards.faults)} - {"plan"}
    if unknown := sorted(seconds.keys() - known):
        raise ValueError(f"no such duration: {unknown[0]}")
    cards.faults.plan.load(order)
    for name, value in seconds.items():
        setattr(cards.faults, name, value)
