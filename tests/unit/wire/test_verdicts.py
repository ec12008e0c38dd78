"""What answers mean: the tables of the contract, sections 2.5 and 4.1 to 4.4."""

from __future__ import annotations

import json

import pytest

from tidegate.wire.answers import Answer, parse_answer
from tidegate.wire.dialect import Dialect
from tidegate.wire.verdicts import (
    AcceptAnswer,
    CancelAnswer,
    DeclineAnswer,
    FulfilAnswer,
    classify_accept,
    classify_cancel,
    classify_decline,
    classify_fulfil,
    existing_fulfilment,
)


def answer(status: int, message: str) -> Answer:
    word = "success" if status < 400 else "error"
    return parse_answer(
        status, json.dumps({"status": word, "message": message, "data": None}).encode()
    )


@pytest.mark.parametrize(
    ("status", "message", "meaning"),
    [
        (201, "Order request accepted successfully", AcceptAnswer.ACCEPTED),
        (201, "Order accepted", AcceptAnswer.ACCEPTED),
        (200, "Order accepted", AcceptAnswer.ACCEPTED),
        (404, "Order request not found or is expired", AcceptAnswer.GONE),
        (404, "Order not found", AcceptAnswer.ORDER_UNKNOWN),
        (
            400,
            "Order cannot be accepted: order is already fulfilling",
            AcceptAnswer.ALREADY_TAKEN,
        ),
        (400, "order is already fulfilled", AcceptAnswer.ALREADY_TAKEN),
        (400, "Invalid Order ID", AcceptAnswer.MISCONFIGURED),
        (400, "Insufficient reserved token balance", AcceptAnswer.INCONCLUSIVE),
        (404, "Not Found", AcceptAnswer.INCONCLUSIVE),
        (404, "", AcceptAnswer.INCONCLUSIVE),
        (500, "Failed to update order status", AcceptAnswer.INCONCLUSIVE),
    ],
)
def test_accept(status: int, message: str, meaning: AcceptAnswer) -> None:
    """Section 4.1."""
    assert classify_accept(answer(status, message)) is meaning


@pytest.mark.parametrize(
    ("status", "message", "meaning"),
    [
        (200, "Order request declined successfully", DeclineAnswer.DECLINED),
        (404, "Order request not found or is expired", DeclineAnswer.GONE),
        (404, "<proxy>", DeclineAnswer.INCONCLUSIVE),
        (500, "Failed to decline order request", DeclineAnswer.INCONCLUSIVE),
    ],
)
def test_decline(status: int, message: str, meaning: DeclineAnswer) -> None:
    """Section 4.2."""
    assert classify_decline(answer(status, message)) is meaning


@pytest.mark.parametrize(
    ("status", "message", "meaning"),
    [
        (200, "Order fulfilled successfully", FulfilAnswer.OK),
        (200, "Order already validated", FulfilAnswer.ALREADY_VALIDATED),
        (200, "Order already settled", FulfilAnswer.ALREADY_SETTLED),
        (200, "Order already refunded", FulfilAnswer.ALREADY_REFUNDED),
        (200, "Order already failed", FulfilAnswer.ALREADY_FAILED),
        (200, "Order already forgotten", FulfilAnswer.INCONCLUSIVE),
        (400, "Failed to validate payload", FulfilAnswer.MISCONFIGURED),
        (
            400,
            "Order already has a fulfillment (Status: pending, TxID: T-9)",
            FulfilAnswer.FOREIGN_TXID,
        ),
        (403, "Order does not belong to provider", FulfilAnswer.NOT_OURS),
        (403, "Forbidden", FulfilAnswer.INCONCLUSIVE),
        (500, "Failed to update order status", FulfilAnswer.INCONCLUSIVE),
    ],
)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_fulfil(status: int, message: str, meaning: FulfilAnswer, dialect: Dialect) -> None:
    """Section 4.3; the same in both dialects where the aggregator says something."""
    assert classify_fulfil(answer(status, message), dialect) is meaning


@pytest.mark.parametrize("body", [b"", b"OK", b"{}"])
def test_an_empty_200_to_fulfil_is_done_in_spec_and_nothing_in_live(body: bytes) -> None:
    """Spec leaves the answer open; live answers so when it did not do all of it."""
    empty = parse_answer(200, body)
    assert classify_fulfil(empty, Dialect.SPEC) is FulfilAnswer.OK
    assert classify_fulfil(empty, Dialect.LIVE) is FulfilAnswer.INCONCLUSIVE


@pytest.mark.parametrize("status", [199, 300, 301])
def test_a_redirect_is_not_done(status: int) -> None:
    """Only a 2xx is; a redirect comes from something in between."""
    assert classify_fulfil(parse_answer(status, b""), Dialect.SPEC) is FulfilAnswer.INCONCLUSIVE


@pytest.mark.parametrize("dialect", list(Dialect))
def test_an_error_in_a_200_is_not_done(dialect: Dialect) -> None:
    """The envelope contradicts the status."""
    said = parse_answer(200, b'{"status":"error","message":"no"}')
    assert classify_fulfil(said, dialect) is FulfilAnswer.INCONCLUSIVE


@pytest.mark.parametrize(
    ("status", "message", "meaning"),
    [
        (200, "Order cancelled successfully", CancelAnswer.CANCELLED),
        (404, "Could not find payment order", CancelAnswer.NOT_OURS),
        (404, "Not Found", CancelAnswer.INCONCLUSIVE),
        (400, "Failed to validate payload", CancelAnswer.MISCONFIGURED),
        (500, "Failed to cancel order", CancelAnswer.INCONCLUSIVE),
    ],
)
def test_cancel(status: int, message: str, meaning: CancelAnswer) -> None:
    """Section 4.4; a 500 may have taken effect."""
    assert classify_cancel(answer(status, message)) is meaning


@pytest.mark.parametrize(
    ("status", "message", "word"),
    [
        (401, "Missing Authorization header", "misconfigured"),
        (401, "Invalid Authorization header format", "misconfigured"),
        (400, "Invalid payload format", "misconfigured"),
        (401, "Missing or invalid timestamp in payload", "misconfigured"),
        (401, "Invalid timestamp", "restamp"),
        (400, "Invalid API key ID", "misconfigured"),
        (401, "Invalid API key or token", "misconfigured"),
        (404, "API key not found", "misconfigured"),
        (401, "Invalid HMAC signature", "misconfigured"),
        (404, "Route Not Found", "misconfigured"),
        (429, "Too many requests, slow down", "throttled"),
        (500, "Failed to decrypt API key", "inconclusive"),
        (401, "", "inconclusive"),
        (503, "Service Unavailable", "inconclusive"),
    ],
)
def test_what_any_endpoint_may_answer(status: int, message: str, word: str) -> None:
    """Section 2.5 means the same for every verb."""
    said = answer(status, message)
    meanings = {
        classify_accept(said).value,
        classify_decline(said).value,
        classify_fulfil(said, Dialect.LIVE).value,
        classify_fulfil(said, Dialect.SPEC).value,
        classify_cancel(said).value,
    }
    assert meanings == {word}


@pytest.mark.parametrize("status", [200, 201, 204])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"status":"success"}{"status":"error"}'])
def test_an_unreadable_2xx_never_means_accepted(status: int, body: bytes) -> None:
    """Nothing is paid on such an answer."""
    said = parse_answer(status, body)
    assert classify_accept(said) is AcceptAnswer.INCONCLUSIVE
    assert classify_decline(said) is DeclineAnswer.INCONCLUSIVE
    assert classify_cancel(said) is CancelAnswer.INCONCLUSIVE


def test_the_fulfilment_that_stands_is_read_from_the_message() -> None:
    """So that it can be compared with ours."""
    message = "Order already has a fulfillment (Status: success, TxID: TG-1_2.r2)"
    assert existing_fulfilment(message) == ("success", "TG-1_2.r2")
    assert existing_fulfilment("Order already validated") is None
