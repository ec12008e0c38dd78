"""What the node answers."""

from __future__ import annotations

import json

import pytest

from tidegate.wire.replies import TxStatus, envelope, order_received, tx_status_answer


def test_the_envelope_always_has_its_three_fields() -> None:
    """Data is null when there is none."""
    assert envelope("error", "No", None) == b'{"data":null,"message":"No","status":"error"}'


def test_an_offer_is_answered_with_its_state() -> None:
    """The aggregator's id, not ours."""
    assert json.loads(order_received("o-1", "pending")) == {
        "status": "success",
        "message": "Order received",
        "data": {"orderId": "o-1", "status": "pending"},
    }


@pytest.mark.parametrize("status", list(TxStatus))
@pytest.mark.parametrize("psp", [None, "", "lenco"])
@pytest.mark.parametrize("tx_id", [None, "", "T-1"])
@pytest.mark.parametrize("error", [None, "", "closed"])
def test_a_status_answer_has_four_strings(
    status: TxStatus, psp: str | None, tx_id: str | None, error: str | None
) -> None:
    """Whatever is not known yet: a missing one would stop the aggregator's process."""
    said = status.value if psp and tx_id else "pending"
    assert json.loads(tx_status_answer(status, psp, tx_id, error)) == {
        "status": "success",
        "message": f"Transaction {said}",
        "data": {"status": said, "psp": psp or "", "txId": tx_id or "", "error": error or ""},
    }


def test_only_the_three_words_are_ever_answered() -> None:
    """Another word is a mistake of ours."""
    with pytest.raises(ValueError, match="done"):
        tx_status_answer("done", "lenco", "T-1")  # type: ignore[arg-type]  # the mistake tested
