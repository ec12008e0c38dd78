"""The back-off of the contract, and which events a filter lets through."""

from __future__ import annotations

import pytest

from tidegate.clock import Randomness, SimulatedClock
from tidegate.payments.deliver_filters import EVENT_TYPES, FILTERS, wants
from tidegate.payments.deliver_schedule import SCHEDULE_S, wait_ms

_CONTRACT = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]


def _randomness(seed: int) -> Randomness:
    return Randomness(SimulatedClock(), seed)


def test_the_steps_are_the_contracts_and_the_last_is_repeated() -> None:
    assert list(SCHEDULE_S) == _CONTRACT
    for failures, step in enumerate([*_CONTRACT, 86400, 86400], start=1):
        assert wait_ms(failures, _randomness(failures)) == pytest.approx(step * 1000, rel=0.1)


def test_every_step_is_jittered() -> None:
    for failures in range(1, 10):
        assert len({wait_ms(failures, _randomness(seed)) for seed in range(20)}) > 10


def test_a_receiver_is_never_asked_sooner_than_it_wants_up_to_a_day() -> None:
    assert wait_ms(1, _randomness(1), 3_600) == 3_600_000
    assert wait_ms(1, _randomness(1), 0.0) >= 4_500
    assert wait_ms(4, _randomness(1), 10) >= 6_480_000
    assert wait_ms(1, _randomness(1), 10**9) == 86_400_000


@pytest.mark.parametrize(
    ("filters", "type_", "wanted"),
    [
        (["payment.succeeded"], "payment.succeeded", True),
        (["payment.succeeded"], "payment.failed", False),
        (["payment.*"], "payment.requires_payment_method", True),
        (["payment.*"], "refund.created", False),
        (["payment.*"], "payments.created", False),
        (["payment.failed", "refund.*"], "refund.failed", True),
        (["webhook_endpoint.*"], "webhook_endpoint.disabled", True),
        (["refund.*"], "webhook_endpoint.disabled", True),
        (["*"], "anything.at_all", True),
        ([], "payment.failed", False),
    ],
)
def test_a_filter_is_a_type_a_family_or_everything(
    filters: list[str], type_: str, wanted: bool
) -> None:
    assert wants(filters, type_) is wanted


def test_every_type_may_be_named() -> None:
    assert set(EVENT_TYPES) < FILTERS
    assert all(wants([type_], type_) for type_ in EVENT_TYPES)
