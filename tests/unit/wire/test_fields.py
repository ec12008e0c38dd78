"""Fields of a message, one at a time."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tidegate.errors import BadInput
from tidegate.wire.canonical import Json, NumberToken
from tidegate.wire.fields import decimal_of, object_of, read_rfc3339, strings_of, text_of


def test_a_refusal_names_the_field_and_what_it_is_within() -> None:
    """So that the sender finds it."""
    message: dict[str, Json] = {"a": NumberToken("1")}
    for read in (
        lambda within: text_of(message, "a", [], within=within),
        lambda within: object_of(message, "a", within=within),
    ):
        with pytest.raises(BadInput, match=r"^outer\.a is not"):
            read("outer.")
    with pytest.raises(BadInput, match=r"^a is not a string"):
        text_of(message, "a", [])
    with pytest.raises(BadInput, match=r"^a is not an object"):
        object_of(message, "a")
    with pytest.raises(BadInput, match=r"^a is not a list\.$"):
        strings_of(message, "a", [])


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (NumberToken("-1.50e+02"), Decimal(-150)),
        ("7", Decimal(7)),
        ("9" * 40 + "." + "9" * 40 + "e-99", Decimal("9" * 40 + "." + "9" * 40 + "e-99")),
        ("1e99", Decimal("1e99")),
        ("1e100", None),
        ("9" * 41, None),
        ("0." + "9" * 41, None),
        ("+1", None),
        ("1 ", None),
        ("", None),
        (".5", None),
        ("\u0661", None),
        (True, None),
        (None, None),
    ],
)
def test_a_decimal_is_exact_and_bounded(value: Json, number: Decimal | None) -> None:
    """40 digits on either side and two of an exponent, so that working with it is cheap."""
    assert decimal_of(value) == number


@pytest.mark.parametrize(
    ("text", "instant_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.5z", 1_500),
        ("1970-01-01 00:00:00.0019999Z", 1),
        ("1970-01-01T00:00:00-01:00", 3_600_000),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("1970-01-01T00:00:00.0000000001Z", None),
        ("1970-01-01T00:00:00.Z", None),
        ("1970-01-01T00:00Z", None),
        ("1970-01-01T00:00:00+0100", None),
        ("1970-02-30T00:00:00Z", None),
        ("970-01-01T00:00:00Z", None),
        (" 1970-01-01T00:00:00Z", None),
    ],
)
def test_a_time_is_rfc_3339_or_none(text: str, instant_ms: int | None) -> None:
    """With its offset, up to nine digits of a second, cut to milliseconds."""
    assert read_rfc3339(text) == instant_ms
