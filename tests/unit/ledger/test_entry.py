"""An entry balances per currency, or there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import LedgerFault, Unbalanced
from tidegate.ledger.chart import Side
from tidegate.ledger.entry import Entry, Leg, transfer

_A, _B, _C = "psp:a:available:NGN", "psp:b:available:NGN", "float:opening:NGN"
_KES = "float:opening:KES"


@pytest.mark.parametrize(
    "legs",
    [
        (),
        (Leg(_A, Side.DEBIT, 5),),
        (Leg(_A, Side.DEBIT, 5), Leg(_B, Side.CREDIT, 4)),
        (Leg(_A, Side.DEBIT, 5), Leg(_B, Side.DEBIT, 5)),
        (Leg(_A, Side.DEBIT, 5), Leg(_KES, Side.CREDIT, 5)),
        (Leg(_A, Side.DEBIT, 0), Leg(_B, Side.CREDIT, 0)),
        (Leg(_A, Side.DEBIT, -5), Leg(_B, Side.CREDIT, -5)),
        (Leg(_A, Side.DEBIT, 2**62 + 1), Leg(_B, Side.CREDIT, 2**62 + 1)),
    ],
)
def test_what_does_not_balance_cannot_be_built(legs: tuple[Leg, ...]) -> None:
    """Fewer than two legs, other sums, other currencies, no proper amounts."""
    with pytest.raises(Unbalanced):
        Entry("r", "k", "s", legs)


def test_the_largest_amount_is_that_of_half_a_column() -> None:
    """Two of them still add up within 64 bits; one more is refused above."""
    legs = (Leg(_A, Side.DEBIT, 2**62), Leg(_B, Side.CREDIT, 2**62))
    assert Entry("r", "k", "s", legs).legs == legs


def test_a_transfer_keeps_its_name() -> None:
    """Reference, kind and subject as they were given."""
    entry = transfer("r", "k", "s", (_A, _C, 1))
    assert (entry.reference, entry.kind, entry.subject) == ("r", "k", "s")


def test_an_account_outside_the_chart_cannot_be_booked() -> None:
    """The chart is asked while the entry is built."""
    with pytest.raises(LedgerFault):
        transfer("r", "k", "s", ("nowhere:NGN", _A, 5))


def test_currencies_balance_each_for_itself() -> None:
    """One entry may move several currencies."""
    entry = transfer("r", "k", "s", (_A, _C, 5), ("psp:a:available:KES", _KES, 7))
    assert len(entry.legs) == 4


def test_zero_moves_are_left_out_and_equal_legs_added_up() -> None:
    """So a posting can name every move that might be."""
    entry = transfer("r", "k", "s", (_A, _C, 5), (_B, _C, 0), (_B, _C, 3))
    assert entry.legs == (
        Leg(_A, Side.DEBIT, 5),
        Leg(_C, Side.CREDIT, 8),
        Leg(_B, Side.DEBIT, 3),
    )


_moves = st.lists(
    st.tuples(st.sampled_from([_A, _B, _C]), st.sampled_from([_A, _B, _C]), st.integers(1, 10**12)),
    min_size=1,
    max_size=6,
)


@given(_moves)
def test_a_transfer_always_balances(moves: list[tuple[str, str, int]]) -> None:
    """Debits equal credits, and each account's net is what the moves say."""
    entry = transfer("r", "k", "s", *moves)
    signed = [
        (leg.account, leg.amount if leg.side is Side.DEBIT else -leg.amount) for leg in entry.legs
    ]
    assert sum(amount for _, amount in signed) == 0
    for account in (_A, _B, _C):
        wanted = sum(
            (debited == account) * amount - (credited == account) * amount
            for debited, credited, amount in moves
        )
        assert sum(amount for path, amount in signed if path == account) == wanted
