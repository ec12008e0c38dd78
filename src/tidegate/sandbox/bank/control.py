"""``/_sandbox/...``: the bank's insides as JSON, for tests and demos in another process.

No token; amounts are decimal strings in naira. ::

    GET  state                            balance, totals, counters
    GET  transfers | transfers/{ref}      {reference: {request, transaction, timesPaid}}
    GET  ledger                           [{at, kind, reference, amount, source, target}]
    GET  faults                           the plan
    POST faults                           FaultPlan.load, plus "seconds": {"slow_s": 1, ...}
    POST heal
    POST fund | withdraw                  {"amount": "5000.00"}
    POST reverse                          {"reference": ..., "withFee"?: bool}
    POST decide                           {"reference": ..., "status": ..., "reason"?: ...}
    POST webhook-url                      {"url": ... or null}
    POST refuse                           {"seconds"?: number}; answered before it begins
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from tidegate.clock import rfc3339
from tidegate.sandbox.bank.answers import plain_json
from tidegate.sandbox.bank.books import Place, naira
from tidegate.sandbox.bank.transactions import Status, Transaction

if TYPE_CHECKING:
    from tidegate.sandbox.bank.server import SandboxBank

__all__ = ["PREFIX", "answer"]

PREFIX: Final = "/_sandbox/"


async def answer(bank: SandboxBank, request: web.BaseRequest) -> web.Response:
    """Answer one control request: 400 for what makes no sense, 404 for what is not there."""
    command = request.path[len(PREFIX) :]
    try:
        if request.method == "GET":
            return plain_json(_read(bank, command))
        raw = await request.read()
        order = json.loads(raw) if raw else {}
        if not isinstance(order, dict):
            raise ValueError("the body must be a JSON object")
        return plain_json(_act(bank, command, order))
    except KeyError as missing:
        return plain_json({"error": f"not found: {missing.args[0]}"}, 404)
    except (ValueError, TypeError, InvalidOperation) as refused:
        return plain_json({"error": str(refused)}, 400)


def _read(bank: SandboxBank, command: str) -> Any:
    match command.split("/"):
        case ["state"]:
            return _state(bank)
        case ["transfers"]:
            return {
                reference: _transfer(bank, transfer)
                for reference, transfer in bank.transfers.items()
            }
        case ["transfers", reference]:
            return _transfer(bank, bank.transfers[reference])
        case ["ledger"]:
            return [
                {
                    "at": rfc3339(line.at_ms),
                    "kind": line.kind.value,
                    "reference": line.reference,
                    "amount": naira(line.amount),
                    "source": line.source.value,
                    "target": line.target.value,
                }
                for line in bank.books.lines
            ]
        case ["faults"]:
            return bank.faults.plan.as_json()
    raise KeyError(command)


def _act(bank: SandboxBank, command: str, order: dict[str, Any]) -> Any:
    match command:
        case "faults":
            _change_faults(bank, order)
        case "heal":
            bank.heal()
        case "fund":
            return bank.fund(_amount(order)).transaction_json()
        case "withdraw":
            bank.withdraw(_amount(order))
        case "reverse":
            reversed_ = bank.reverse(order["reference"], with_fee=bool(order.get("withFee")))
            return reversed_.transaction_json()
        case "decide":
            bank.decide(order["reference"], Status(order["status"]), order.get("reason"))
        case "webhook-url":
            bank.set_webhook_url(order["url"])
        case "refuse":
            # Begun after the answer has been written: nobody can be told afterwards.
            asyncio.get_running_loop().call_later(
                0.05, bank.refuse_connections, order.get("seconds")
            )
        case _:
            raise KeyError(command)
    return _state(bank)


def _state(bank: SandboxBank) -> dict[str, Any]:
    counts = {status.value: 0 for status in Status} | {"queued": 0}
    for transfer in bank.transfers.values():
        counts["queued" if transfer.queued else transfer.status.value] += 1
    return {
        "balance": naira(bank.books.balance()),
        "places": {place.value: naira(bank.books.balance(place)) for place in Place},
        "totals": {kind.value: naira(total) for kind, total in bank.books.totals().items()},
        "transfers": counts,
        "paidMoreThanOnce": bank.books.paid_more_than_once(),
        "requests": dict(bank.requests),
        "webhooks": {**bank.courier.counts, "waiting": bank.courier.waiting},
    }


def _transfer(bank: SandboxBank, transfer: Transaction) -> dict[str, Any]:
    return {**transfer.pair_json(), "timesPaid": bank.times_paid(transfer.reference)}


def _amount(order: dict[str, Any]) -> Decimal:
    amount = Decimal(str(order["amount"]))
    if not amount.is_finite() or amount <= 0:
        raise ValueError("amount must be positive")
    return amount


def _change_faults(bank: SandboxBank, order: dict[str, Any]) -> None:
    seconds: dict[str, float] = order.get("seconds", {})
    known = {field.name for field in fields(bank.faults)} - {"plan"}
    if unknown := sorted(seconds.keys() - known):
        raise ValueError(f"no such duration: {unknown[0]}")
    bank.faults.plan.load(order)
    for name, value in seconds.items():
        setattr(bank.faults, name, value)
