"""Currency codes and their exponents."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import BadInput, UnsupportedCurrency
from tidegate.money import parse_currency
from tidegate.money.currency import EXPONENTS


@pytest.mark.parametrize(
    ("code", "iso", "exponent"),
    [
        ("NGN", "NGN", 2),
        ("KES", "KES", 2),
        ("UGX", "UGX", 0),
        ("XOF-BEN", "XOF", 0),
        ("XOF-CIV", "XOF", 0),
        ("JPY", "JPY", 0),
        ("KWD", "KWD", 3),
        ("TND", "TND", 3),
        ("CLF", "CLF", 4),
        ("MGA", "MGA", 2),
    ],
)
def test_the_code_is_kept_and_the_exponent_is_of_its_first_three_letters(
    code: str, iso: str, exponent: int
) -> None:
    """A country suffix stays in the code and does not change the number of places."""
    currency = parse_currency(code)
    assert (currency.code, currency.iso, currency.exponent) == (code, iso, exponent)


def test_the_table_has_the_currencies_without_and_with_three_places() -> None:
    """The codes whose exponent is not 2 are exactly those of ISO 4217."""
    by_exponent: dict[int, set[str]] = {}
    for code, exponent in EXPONENTS.items():
        by_exponent.setdefault(exponent, set()).add(code)
    zero = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
    assert " ".join(sorted(by_exponent[0])) == zero
    assert " ".join(sorted(by_exponent[3])) == "BHD IQD JOD KWD LYD OMR TND"
    assert by_exponent[4] == {"CLF", "UYW"}
    assert set(by_exponent) == {0, 2, 3, 4}
    assert len(by_exponent[2]) == 138
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)


@pytest.mark.parametrize("code", ["XXX", "XAU", "ABC", "XTS", "QQQ-BEN"])
def test_a_code_without_minor_units_is_unsupported(code: str) -> None:
    """Well formed, but nothing to count in."""
    with pytest.raises(UnsupportedCurrency):
        parse_currency(code)


@pytest.mark.parametrize(
    "text", ["", "ngn", "NG", "NGNX", "NGN-", "NGN-BENX", "NGN ", "NGN\n", "N\u00d1N", None, 3, []]
)
def test_what_is_no_code_is_bad_input(text: str) -> None:
    """Lower case, blanks and other types are not guessed at."""
    with pytest.raises(BadInput):
        parse_currency(text)


@given(st.text(max_size=9))
def test_reading_a_currency_raises_only_its_own_errors(text: str) -> None:
    """Whatever is sent, the answer is a currency, bad input, or an unsupported one."""
    with contextlib.suppress(BadInput, UnsupportedCurrency):
        assert parse_currency(text).code == text
