"""The entries of a payout's life: each balances, and together they add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.ledger.chart import Side, account_kind
from tidegate.ledger.entry import Entry
from tidegate.payouts import postings
from tidegate.payouts.postings import FloatAccounts

AT = FloatAccounts("lenco", "NGN")
OTHER = FloatAccounts("other", "NGN")


def after(*entries: Entry) -> Counter[str]:
    """Balances by account after these entries, each on the side that grows it."""
    balances: Counter[str] = Counter()
    for entry in entries:
        for leg in entry.legs:
            grows = account_kind(leg.account).grows_by
            balances[leg.account] += leg.amount if leg.side is grows else -leg.amount
    return Counter({account: balance for account, balance in balances.items() if balance})


def total(entries: Iterable[Entry], at: FloatAccounts = AT) -> int:
    """What the books say is at the PSP."""
    balances = after(*entries)
    return sum(balances[account] for account in (at.available, at.reserved, at.suspense))


AMOUNTS = st.integers(min_value=1, max_value=10**12)


@given(amount=AMOUNTS, fee=st.integers(0, 20_000), most=st.integers(0, 20_000))
def test_a_paid_order_leaves_nothing_reserved(amount: int, fee: int, most: int) -> None:
    """Whatever the fee was, the hold is spent or given back, and L falls by amount and fee."""
    held = amount + most
    entries = [
        postings.opened(AT, "rdg", 2 * held),
        postings.reserved(AT, "po", 1, held),
        postings.paid(AT, "po", "att", amount=amount, fee=fee, held=held),
    ]
    balances = after(*entries)
    assert balances[AT.reserved] == 0
    assert balances[AT.owed] == amount
    assert balances[AT.fees] == fee
    assert balances[AT.suspense] == min(0, most - fee), "a fee above the hold is a fact"
    assert total(entries) == 2 * held - amount - fee


@given(amount=AMOUNTS)
def test_a_released_hold_was_never_there(amount: int) -> None:
    """Reserve and release cancel out."""
    assert not after(postings.reserved(AT, "po", 1, amount), postings.released(AT, "po", 2, amount))


def _payout(psp: str | None, held: int) -> dict[str, object]:
    return {"id": "po", "psp": psp, "currency": "NGN", "held": held, "holds": 1}


@pytest.mark.parametrize(
    ("held", "psp", "hold", "reserved_at", "reserved_other"),
    [
        (0, "lenco", 500, 500, 0),
        (500, "lenco", 700, 700, 0),
        (500, "lenco", 300, 300, 0),
        (500, "lenco", 500, 500, 0),
        (500, "other", 600, 0, 600),
        (500, None, 0, 0, 0),
        (0, None, 0, 0, 0),
    ],
)
def test_a_hold_follows_its_payout(
    held: int, psp: str | None, hold: int, reserved_at: int, reserved_other: int
) -> None:
    """It grows, shrinks, moves to another PSP and ends, and float is never made or lost."""
    before = [postings.reserved(AT, "po", 1, held)] if held else []
    entries = [*before, *postings.rehold(_payout("lenco", held), psp, hold)]
    balances = after(*entries)
    assert balances[AT.reserved] == reserved_at
    assert balances[OTHER.reserved] == reserved_other
    assert total(entries) == total(entries, OTHER) == 0


@pytest.mark.parametrize(("psp", "hold"), [(None, 700), (None, 500), ("other", 0)])
def test_a_hold_without_a_psp_or_an_amount_is_none(psp: str | None, hold: int) -> None:
    """What was held is given back, and nothing is held anywhere else."""
    (entry,) = postings.rehold(_payout("lenco", 500), psp, hold)
    assert entry == postings.released(AT, "po", 2, 500)


def test_the_entries_of_a_hold_have_references_of_their_own() -> None:
    """A hold that moves twice is two movements, not one that the book has already."""
    payout = _payout("lenco", 500)
    first = postings.rehold(payout, "lenco", 700)
    second = postings.rehold({**payout, "holds": 2, "held": 700}, "lenco", 500)
    references = [entry.reference for entry in (*first, *second)]
    assert len(set(references)) == 2


def test_what_was_missing_may_be_promised_again_once_it_is_found() -> None:
    """A shortfall and its end leave no trace in the balances."""
    assert not after(postings.shortfall(AT, "rdg-1", 70), postings.found_again(AT, "rdg-2", 70))


def test_a_reading_is_explained_later() -> None:
    """Seen as surplus, then proven as funding: in the end it is funding and nothing else."""
    entries = [
        postings.surplus(AT, "rdg", 900),
        postings.funded(AT, "lenco", "cr-1", amount=1_000, explained=900),
    ]
    assert after(*entries) == {AT.available: 1_000, AT.funding: 1_000}


def test_a_reversal_seen_by_a_reading_first_counts_once() -> None:
    """The surplus becomes what is owed to the recipient; L rises once."""
    entries = [
        postings.surplus(AT, "rdg", 900),
        postings.returned(AT, "po", "att", amount=900, explained=900),
    ]
    assert after(*entries) == {AT.suspense: 900, AT.returned: 900}


def test_a_reversal_seen_first_is_owed_to_the_recipient() -> None:
    """It waits in suspense: not float that may be promised to somebody else."""
    entry = postings.returned(AT, "po", "att", amount=900, explained=0)
    assert after(entry) == {AT.suspense: 900, AT.returned: 900}


@pytest.mark.parametrize(
    ("missed", "left_missing", "suspense"),
    [(0, 0, -930), (900, 0, -30), (930, 0, 0), (500, 0, -430)],
)
def test_a_late_payment_counts_once(missed: int, left_missing: int, suspense: int) -> None:
    """What a reading booked as missing before is what was paid late; the rest is new."""
    before = [postings.shortfall(AT, "rdg", missed)] if missed else []
    entries = [
        *before,
        postings.paid_late(AT, "po", "att", amount=900, fee=30, missed=missed),
    ]
    balances = after(*entries)
    assert balances[AT.missing] == left_missing
    assert balances[AT.suspense] == suspense
    assert balances[AT.outflow] == 900
    assert balances[AT.fees] == 30
    assert total(entries) == -930


def test_unexplained_money_goes_as_it_came() -> None:
    """A surplus that is gone at the next reading leaves no trace in the balances."""
    assert not after(postings.surplus(AT, "rdg-1", 70), postings.surplus_gone(AT, "rdg-2", 70))


def test_only_promises_have_a_floor() -> None:
    """Available and reserved bind what we intend; no other account refuses a fact."""
    bound = {account for account in _every_account() if account_kind(account).floor}
    assert bound == {AT.available, AT.reserved}


def _every_account() -> set[str]:
    return {getattr(AT, name) for name in FloatAccounts.__slots__}


def test_debits_grow_what_is_at_the_psp() -> None:
    """L is a sum of assets: the three accounts grow on the same side."""
    assert {
        account_kind(account).grows_by for account in (AT.available, AT.reserved, AT.suspense)
    } == {Side.DEBIT}
