"""Bracket keys, as the SDK writes them and as people do."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.sandbox.cards.form import flag, metadata, parse, whole
from tidegate.sandbox.cards.refusals import Refusal


@pytest.mark.parametrize(
    ("encoded", "read"),
    [
        ("", {}),
        ("amount=5&currency=usd", {"amount": "5", "currency": "usd"}),
        ("card[number]=42&card[exp_month]=1", {"card": {"number": "42", "exp_month": "1"}}),
        ("expand[]=a&expand[]=b", {"expand": ["a", "b"]}),
        ("expand[0]=a&expand[1]=b", {"expand": ["a", "b"]}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("metadata[0]=a&metadata[k]=%C3%A9+x", {"metadata": {"0": "a", "k": "é x"}}),
        ("created%5Bgte%5D=7", {"created": {"gte": "7"}}),
        ("customer=", {"customer": ""}),
    ],
)
def test_brackets_become_groups_and_lists(encoded: str, read: dict[str, Any]) -> None:
    assert parse(encoded) == read


@pytest.mark.parametrize("encoded", ["card=x&card[number]=1", "card[number]=1&card=x"])
def test_a_name_is_a_value_or_a_group(encoded: str) -> None:
    with pytest.raises(Refusal):
        parse(encoded)


@pytest.mark.parametrize("value", ["1.5", "-1", "x", "1e3", "+1", " 1"])
def test_an_integer_has_digits_only(value: str) -> None:
    with pytest.raises(Refusal) as refused:
        whole({"amount": value}, "amount", least=1)
    assert refused.value.code == "parameter_invalid_integer"


def test_a_flag_is_true_or_false() -> None:
    assert flag({"confirm": "true"}, "confirm")
    assert not flag({}, "confirm")
    with pytest.raises(Refusal):
        flag({"confirm": "yes"}, "confirm")


def test_metadata_is_merged_and_has_its_limits() -> None:
    before = {"a": "1", "b": "2"}
    assert metadata({"metadata": {"a": "", "c": "3"}}, before) == {"b": "2", "c": "3"}
    assert metadata({}, before) == before
    assert metadata({"metadata": ""}, before) == {}
    for wrong in ({f"k{number}": "v" for number in range(51)}, {"k": "v" * 501}, {"k": {"x": "y"}}):
        with pytest.raises(Refusal):
            metadata({"metadata": wrong})
