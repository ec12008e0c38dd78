"""The bodies that we send."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import InvalidAmount
from tidegate.money import MINOR_MAX, Money, parse_amount, parse_balance, parse_currency
from tidegate.wire.outbound import (
    BalanceReport,
    ValidationStatus,
    accept_body,
    balance_body,
    balances_spec_body,
    cancel_body,
    decline_body,
    fulfil_body,
    fulfil_spec_body,
)
from tidegate.wire.signature import Path, accepted_by_aggregator, sign

NOW_S = 1_728_201_600
SECRET = "test-secret"
NGN, JPY = parse_currency("NGN"), parse_currency("JPY")
REPORT = BalanceReport(
    available=parse_amount("50000", NGN),
    reserved=parse_balance("0", NGN),
    total=parse_amount("50000.05", NGN),
)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: accept_body(NOW_S), '{"timestamp":1728201600}'),
        (lambda: decline_body("LIMIT", NOW_S), '{"reason":"LIMIT","timestamp":1728201600}'),
        (
            lambda: fulfil_body("lenco", "PSP-TX-001", ValidationStatus.SUCCESS, "", NOW_S),
            '{"psp":"lenco","timestamp":1728201600,"txId":"PSP-TX-001","validationError":"",'
            '"validationStatus":"success"}',
        ),
        (lambda: fulfil_spec_body("T1", NOW_S), '{"timestamp":1728201600,"transactionHash":"T1"}'),
        (
            lambda: cancel_body("Invalid recipient bank details", NOW_S),
            '{"reason":"Invalid recipient bank details","timestamp":1728201600}',
        ),
        (
            lambda: balance_body(REPORT, NOW_S),
            '{"availableBalance":"50000.00","currency":"NGN","reservedBalance":"0.00",'
            '"timestamp":1728201600,"totalBalance":"50000.05"}',
        ),
        (
            lambda: balances_spec_body([REPORT], NOW_S),
            '{"balances":[{"available":50000,"currency":"NGN","reserved":0,"total":50000.05}],'
            '"timestamp":1728201600}',
        ),
    ],
)
def test_bodies_are_canonical_bytes(build: Callable[[], bytes], expected: str) -> None:
    """The very bytes, and a signature over them is accepted raw and as a map."""
    body = build()
    assert body == expected.encode()
    assert accepted_by_aggregator(SECRET, sign(SECRET, body), body) == {Path.RAW, Path.GO_MAP}


def test_a_body_equals_the_published_vector() -> None:
    """N06 of the contract, to the signature."""
    secret = "bm90LWEtcmVhbC1zZWNyZXQtMzItYnl0ZXMtbG9uZyE="
    body = fulfil_body("lenco", "PSP-TX-001", ValidationStatus.SUCCESS, "", NOW_S)
    assert sign(secret, body) == "ef1b312e0183f21e1d6a1adb5b1ff8ad5eb09d735ac2e0230074ef1fb1e4328b"


@given(st.text(), st.integers(1, 10**15 - 1))
def test_whatever_the_text_or_figure_both_paths_accept(reason: str, minor: int) -> None:
    """Controls, surrogates, markup, any script; up to 15 digits of money as a number."""
    money = Money(minor, NGN)
    report = BalanceReport(money, money, money)
    for body in (
        cancel_body(f"x{reason}", NOW_S),
        fulfil_body("lenco", "T", ValidationStatus.FAILED, reason, NOW_S),
        balances_spec_body([report], NOW_S),
        balance_body(report, NOW_S),
    ):
        assert accepted_by_aggregator(SECRET, sign(SECRET, body), body) == {Path.RAW, Path.GO_MAP}


def test_control_characters_become_blanks() -> None:
    """Versions of Go spell some of them differently."""
    assert json.loads(cancel_body("a\b\fb\r\n", NOW_S))["reason"] == "a b"


def test_a_figure_that_a_float_would_change_is_not_sent() -> None:
    """As a number it is refused; as a string it is exact."""
    money = Money(MINOR_MAX, NGN)
    report = BalanceReport(money, money, money)
    with pytest.raises(InvalidAmount):
        balances_spec_body([report], NOW_S)
    assert json.loads(balance_body(report, NOW_S))["totalBalance"] == "90071992547409.91"


@pytest.mark.parametrize("timestamp_s", [0, -1, NOW_S * 1000, 999_999_999, 10_000_000_000])
def test_a_timestamp_must_be_seconds(timestamp_s: int) -> None:
    """The aggregator would take milliseconds, and for ever (contract, 2.2)."""
    with pytest.raises(ValueError, match="seconds"):
        accept_body(timestamp_s)


@pytest.mark.parametrize("timestamp_s", [1_000_000_000, 9_999_999_999])
def test_a_timestamp_has_ten_digits(timestamp_s: int) -> None:
    """From 2001 to 2286, the first and the last second included."""
    assert json.loads(accept_body(timestamp_s)) == {"timestamp": timestamp_s}


@pytest.mark.parametrize(
    "build",
    [
        lambda: fulfil_body("", "T", ValidationStatus.SUCCESS, "", NOW_S),
        lambda: fulfil_body("lenco", "", ValidationStatus.SUCCESS, "", NOW_S),
        lambda: fulfil_body("lenco", "T", "SUCCESS", "", NOW_S),  # type: ignore[arg-type]  # tested
        lambda: fulfil_spec_body("", NOW_S),
        lambda: cancel_body(" \n", NOW_S),
        lambda: BalanceReport(REPORT.available, REPORT.reserved, Money(1, JPY)),
    ],
)
def test_what_the_aggregator_would_misread_is_not_built(build: Callable[[], object]) -> None:
    """Empty ids, a status in capitals, no reason, two currencies in one report."""
    with pytest.raises(ValueError, match=r"."):
        build()
