"""What is still to happen, a line each; nothing when all is over or with a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.payments.states import ENDED as PAYMENT_ENDED
from tidegate.payments.states import WAITING, DisputeState, RefundState
from tidegate.payments.states import State as PaymentState
from tidegate.payouts.states import CLOSED_ATTEMPT, ENDED, AttemptState, State
from tidegate.simulation.evidence import Evidence

__all__ = ["unfinished"]

# Nothing is awaited of these attempts but a look an hour later.
_LATER = frozenset({AttemptState.PAID, AttemptState.REVERSED, *CLOSED_ATTEMPT})
_FOR_A_PERSON = frozenset({State.HELD, State.PAID})
_REFUND_ENDED = frozenset({RefundState.SUCCEEDED, RefundState.FAILED})
_OPEN_DISPUTE = frozenset({DisputeState.OPEN, DisputeState.INQUIRY})


def unfinished(evidence: Evidence) -> Iterator[str]:
    """Every order, payment, refund and webhook that is neither in a final state nor in a case."""
    yield from _payouts(evidence)
    yield from _payments(evidence)
    for row in evidence.inbox:
        if row["due_at"] is not None:
            yield f"webhook {row['id']} of {row['source']} is not read"
    for row in evidence.deliveries:
        if row["state"] == "waiting":
            yield f"delivery {row['id']} waits"
    yield from (f"leased: {one}" for one in evidence.leased)


def _payouts(evidence: Evidence) -> Iterator[str]:
    for row in evidence.payouts:
        state, kinds = State(row["state"]), evidence.kinds_of_payout(row)
        if state not in ENDED and not (state in _FOR_A_PERSON and kinds):
            yield f"payout {row['id']} of {row['order_id']} is {state} ({row['kind']})"
        elif state in ENDED and row["due_at"] is not None:
            yield f"payout {row['id']} of {row['order_id']} is {state}, due for {row['kind']}"
        for one in evidence.attempts.get(row["id"], []):
            if AttemptState(one["state"]) not in _LATER and not kinds:
                yield f"attempt {one['reference']} is {one['state']} ({one['kind']})"


def _payments(evidence: Evidence) -> Iterator[str]:
    for row in evidence.payments:
        payment, kinds = PaymentState(row["state"]), evidence.kinds(row["id"])
        if payment not in PAYMENT_ENDED | WAITING and not kinds:
            yield f"payment {row['id']} is {payment}"
        elif payment is PaymentState.SUCCEEDED and row["movement"] is None:
            yield f"payment {row['id']} has no movement booked"
        elif payment is PaymentState.FAILED and row["due_at"] is not None and not kinds:
            yield f"payment {row['id']} is failed, and its object not closed"
    for row in evidence.refunds:
        kinds = evidence.kinds(row["id"], row["payment_id"])
        if RefundState(row["state"]) not in _REFUND_ENDED and not kinds:
            yield f"refund {row['id']} is {row['state']}"
    for row in evidence.disputes:
        rests = DisputeState(row["state"]) in _OPEN_DISPUTE
        if row["due_at"] is not None and not rests:
            yield f"dispute {row['id']} is {row['state']}, due for {row['kind']}"
