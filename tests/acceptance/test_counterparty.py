"""The doubles by themselves: their signatures are those of the vectors, their books add up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.counterparty.aggregator import CLIENT_ID, SECRET, Aggregator
from tests.acceptance.counterparty.lenco import ACCOUNT_ID, FEE, OPENING, TOKEN, Lenco
from tests.acceptance.counterparty.orders import Order
from tests.acceptance.counterparty.script import drop_after, drop_before, say
from tests.acceptance.counterparty.server import Answer, send
from tests.acceptance.counterparty.signing import go_json, sign

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "hmac-vectors.json").read_bytes())
LIVE = [vector for vector in VECTORS["vectors"] if vector["id"].startswith("N")]


@pytest.mark.parametrize("vector", LIVE, ids=lambda vector: vector["id"])
def test_the_go_form_and_the_raw_bytes_accept_what_the_vectors_say(vector: dict[str, Any]) -> None:
    """Raw and canonical verification agree with what Go computed."""
    body = bytes.fromhex(vector["body_hex"])
    if vector["id"] == "N24":
        assert sign(vector["secret"], body) == vector["sig"]
        return
    parsed = json.loads(body)
    if isinstance(parsed["timestamp"], str):
        parsed["timestamp"] = float(parsed["timestamp"])
    assert (sign(vector["secret"], body) == vector["sig"]) is bool(vector["raw"])
    assert (sign(vector["secret"], go_json(parsed)) == vector["sig"]) is bool(vector["map"])


@pytest.mark.parametrize("vector", VECTORS["agg"], ids=lambda vector: vector["id"])
def test_our_calls_are_signed_as_the_vectors_say(vector: dict[str, Any]) -> None:
    """A body we build from its parsed form has the bytes and the signature of the vector."""
    body = vector["body"].encode()
    assert sign(vector["secret"], body) == vector["sig"]
    if body:
        assert go_json(json.loads(body)) == body


@pytest.fixture
def aggregator() -> Iterator[Aggregator]:
    double = Aggregator()
    yield double
    double.close()


@pytest.fixture
def bank() -> Iterator[Lenco]:
    double = Lenco()
    yield double
    double.close()


def _call(aggregator: Aggregator, path: str, body: dict[str, Any], secret: str = SECRET) -> Answer:
    raw = go_json({**body, "timestamp": int(time.time())})
    headers = {"Authorization": f"HMAC {CLIENT_ID}:{sign(secret, raw)}"}
    return send("POST", f"{aggregator.url}/v1/provider/{path}", raw, headers)


def _get(aggregator: Aggregator, path: str) -> Answer:
    now = int(time.time())
    headers = {"Authorization": f"HMAC {CLIENT_ID}:{sign(SECRET, go_json({'timestamp': now}))}"}
    return send("GET", f"{aggregator.url}/v1/provider/{path}?timestamp={now}", b"", headers)


def test_the_aggregator_walks_an_order_from_offer_to_validated(aggregator: Aggregator) -> None:
    """Accept tells the recipient, once more while fulfilling; success validates."""
    order = Order("75375", "2000000001")
    aggregator.book.offer(order)
    aggregator.truth = lambda order: "paid"
    path = f"orders/{order.id}"
    assert _get(aggregator, path).status == 404
    first = _call(aggregator, f"{path}/accept", {})
    assert first.status == 201
    assert first.json["data"]["accountIdentifier"] == "2000000001"
    assert _call(aggregator, f"{path}/accept", {}).status == 201
    assert _get(aggregator, path).json["data"]["status"] == "fulfilling"
    report = {"psp": "lenco", "txId": "t-1", "validationError": ""}
    for status in ("pending", "success"):
        done = _call(aggregator, f"{path}/fulfill", {**report, "validationStatus": status})
        assert done.status == 200
    assert order.status == "validated"
    assert not aggregator.faults


def test_the_aggregator_complains_of_bad_signatures_and_wrong_forms(aggregator: Aggregator) -> None:
    """Wrong secret, balances as numbers, a success nobody was paid for: each is a fault."""
    assert _call(aggregator, "orders/x/accept", {}, secret="wrong").status == 401
    figures = {"availableBalance": 1, "totalBalance": 2, "reservedBalance": 0}
    assert _call(aggregator, "balances", {"currency": "NGN", **figures}).status == 500
    order = Order("75375", "2000000001")
    aggregator.book.offer(order)
    _call(aggregator, f"orders/{order.id}/accept", {})
    report = {"psp": "lenco", "txId": "t", "validationStatus": "success", "validationError": ""}
    _call(aggregator, f"orders/{order.id}/fulfill", report)
    assert len(aggregator.faults) == 3


def test_scripts_drop_before_and_after_acting(aggregator: Aggregator) -> None:
    """The first call does nothing, the second does it unseen, the third says what it was told."""
    order = Order("75375", "2000000001")
    aggregator.book.offer(order)
    aggregator.scripts.add("accept", order.id, drop_before(), drop_after(), say(503, b"<html>"))
    path = f"orders/{order.id}/accept"
    with pytest.raises(OSError):  # noqa: PT011 -- whichever way the connection ends
        _call(aggregator, path, {})
    assert order.status == "pending"
    with pytest.raises(OSError):  # noqa: PT011 -- the same
        _call(aggregator, path, {})
    assert order.status == "fulfilling"
    assert (_call(aggregator, path, {}).status, order.told[-1][3]) == (503, 503)


def _pay(bank: Lenco, reference: str, account: str = "2000000001") -> Answer:
    body = {
        "accountId": ACCOUNT_ID,
        "accountNumber": account,
        "bankCode": "000014",
        "amount": "2000.00",
        "narration": "test",
        "reference": reference,
    }
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return send("POST", f"{bank.url}/access/v1/transfer", json.dumps(body).encode(), headers)


def _look(bank: Lenco, reference: str) -> Answer:
    url = f"{bank.url}/access/v1/transfer/by-reference/{reference}"
    return send("GET", url, b"", {"Authorization": f"Bearer {TOKEN}"})


def test_the_bank_pays_once_a_reference_and_returns_what_failed(bank: Lenco) -> None:
    """Queued, pending, failed: the debit comes back; a duplicate is refused; unknown is 400."""
    bank.plan("2000000001", "queued", "pending", "failed", reason="Account closed")
    reference = "tg-k3j5x7q2m4n6p2r7s3t2v4-01"
    queued = _pay(bank, reference).json["data"]
    assert (queued["request"]["status"], queued["transaction"]) == ("queued", None)
    assert _look(bank, reference).json["data"]["transaction"]["status"] == "pending"
    assert bank.balance == OPENING - Decimal("2000.00") - FEE
    again = _pay(bank, reference)
    assert (again.status, again.json["message"]) == (400, "Duplicate client reference")
    assert _look(bank, reference).json["data"]["transaction"]["status"] == "failed"
    assert bank.balance == OPENING
    assert _look(bank, reference.replace("-01", "-02")).json["message"] == (
        "Transaction was not found"
    )
    assert not bank.faults


def test_the_bank_complains_of_a_second_attempt_while_one_is_open(bank: Lenco) -> None:
    """Another reference to the same recipient before the first is over is a fault."""
    bank.plan("2000000001", "pending")
    _pay(bank, "tg-k3j5x7q2m4n6p2r7s3t2v4-01")
    _pay(bank, "tg-k3j5x7q2m4n6p2r7s3t2v4-02")
    assert len(bank.faults) == 1
