"""The entries of a payout's life. Pure; amounts are integer minor units.

Float at a PSP is two accounts: available and reserved. A hold is an entry too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.ledger.entry import Entry, transfer

__all__ = [
    "FloatAccounts",
    "found_again",
    "funded",
    "opened",
    "paid",
    "paid_late",
    "rehold",
    "released",
    "reserved",
    "returned",
    "shortfall",
    "surplus",
    "surplus_gone",
]


class FloatAccounts:
    """The accounts of one currency at one PSP, and those of the currency."""

    __slots__ = (
        "available",
        "fees",
        "funding",
        "missing",
        "opening",
        "outflow",
        "owed",
        "reserved",
        "returned",
        "surplus",
        "suspense",
    )

    def __init__(self, psp: str, currency: str) -> None:
        self.available = f"psp:{psp}:available:{currency}"
        self.reserved = f"psp:{psp}:reserved:{currency}"
        self.suspense = f"psp:{psp}:suspense:{currency}"
        self.missing = f"psp:{psp}:missing:{currency}"
        self.fees = f"psp:{psp}:fees:{currency}"
        self.owed = f"aggregator:owed:{currency}"
        self.opening = f"float:opening:{currency}"
        self.funding = f"float:funding:{currency}"
        self.surplus = f"psp:{psp}:surplus:{currency}"
        self.outflow = f"suspense:outflow:{currency}"
        self.returned = f"payouts:returned:{currency}"


def reserved(at: FloatAccounts, payout_id: str, number: int, amount: int) -> Entry:
    """Set ``amount`` (order and highest fee) aside; the ``number``-th hold of this payout."""
    return transfer(
        f"{payout_id}:reserve:{number}",
        "payout.reserved",
        payout_id,
        (at.reserved, at.available, amount),
    )


def released(at: FloatAccounts, payout_id: str, number: int, amount: int) -> Entry:
    """Give back what the ``number``-th hold still holds."""
    return transfer(
        f"{payout_id}:release:{number}",
        "payout.released",
        payout_id,
        (at.available, at.reserved, amount),
    )


def rehold(payout: Mapping[str, Any], psp: str | None, hold: int) -> tuple[Entry, ...]:
    """Move what is held for ``payout`` (its row) to ``hold`` on the account of ``psp``.

    The amount changed at accept, another PSP is to pay, or nothing is held any more (``None``,
    0). No entry where nothing changes. The caller raises ``holds`` by one.
    """
    before = FloatAccounts(payout["psp"], payout["currency"]) if payout["held"] else None
    held, number = payout["held"], payout["holds"] + 1
    if psp is not None and before is not None and psp == payout["psp"]:
        if hold == held:
            return ()
        more = (before.reserved, before.available, hold - held)
        less = (before.available, before.reserved, held - hold)
        return (
            transfer(
                f"{payout['id']}:adjust:{number}",
                "payout.adjusted",
                payout["id"],
                more if hold > held else less,
            ),
        )
    entries = []
    if before is not None:
        entries.append(released(before, payout["id"], number, held))
    if psp is not None and hold:
        at = FloatAccounts(psp, payout["currency"])
        entries.append(reserved(at, payout["id"], number, hold))
    return tuple(entries)


def paid(
    at: FloatAccounts, payout_id: str, attempt: str, *, amount: int, fee: int, held: int
) -> Entry:
    """The PSP paid: spend the hold, give the unused fee back.

    What was paid above what was held is a fact: the excess is taken from the PSP's suspense
    account, which has no floor (the caller opens a case). That is a fee, or all of a transfer that
    was found after a restore and that the copy's float did not cover.
    """
    spent = amount + fee
    covered = min(amount, held)
    covered_fee = min(fee, held - covered)
    return transfer(
        f"{attempt}:paid",
        "payout.paid",
        payout_id,
        (at.owed, at.reserved, covered),
        (at.owed, at.suspense, amount - covered),
        (at.fees, at.reserved, covered_fee),
        (at.fees, at.suspense, fee - covered_fee),
        (at.available, at.reserved, max(0, held - spent)),
    )


def paid_late(
    at: FloatAccounts, payout_id: str, attempt: str, *, amount: int, fee: int, missed: int
) -> Entry:
    """Money left after its reservation was given back: outflow to be explained by a person.

    ``missed`` of it, fee included, was already seen as missing at the PSP.
    """
    missed_amount = min(missed, amount)
    missed_fee = min(missed - missed_amount, fee)
    return transfer(
        f"{attempt}:paid-late",
        "payout.paid_late",
        payout_id,
        (at.outflow, at.missing, missed_amount),
        (at.outflow, at.suspense, amount - missed_amount),
        (at.fees, at.missing, missed_fee),
        (at.fees, at.suspense, fee - missed_fee),
    )


def returned(
    at: FloatAccounts, payout_id: str, attempt: str, *, amount: int, explained: int
) -> Entry:
    """A paid transfer came back: owed to the recipient until a person decides.

    ``explained`` of it was already seen as an unexplained surplus at the PSP.
    """
    return transfer(
        f"{attempt}:returned",
        "payout.returned",
        payout_id,
        (at.suspense, at.returned, amount - explained),
        (at.surplus, at.returned, explained),
    )


def opened(at: FloatAccounts, reading_id: str, amount: int) -> Entry:
    """The first reading of a PSP's balance."""
    return transfer(
        f"{reading_id}:opened", "float.opened", reading_id, (at.available, at.opening, amount)
    )


def funded(at: FloatAccounts, psp: str, credit_id: str, *, amount: int, explained: int) -> Entry:
    """A credit proven by the PSP's own line (``credit_id``).

    ``explained`` of it was already seen as an unexplained surplus and leaves suspense.
    """
    return transfer(
        f"funding:{psp}:{credit_id}",
        "float.funded",
        psp,
        (at.available, at.funding, amount - explained),
        (at.available, at.suspense, explained),
        (at.surplus, at.funding, explained),
    )


def surplus(at: FloatAccounts, reading_id: str, amount: int) -> Entry:
    """A reading above the band: money nobody has explained."""
    return transfer(
        f"{reading_id}:surplus", "float.surplus", reading_id, (at.suspense, at.surplus, amount)
    )


def surplus_gone(at: FloatAccounts, reading_id: str, amount: int) -> Entry:
    """Unexplained money left again, as unexplained as it came."""
    return transfer(
        f"{reading_id}:surplus-gone",
        "float.surplus_gone",
        reading_id,
        (at.surplus, at.suspense, amount),
    )


def found_again(at: FloatAccounts, reading_id: str, amount: int) -> Entry:
    """What was missing is there after all: it may be promised again."""
    return transfer(
        f"{reading_id}:found", "float.found_again", reading_id, (at.available, at.missing, amount)
    )


def shortfall(at: FloatAccounts, reading_id: str, amount: int) -> Entry:
    """A reading below the band: what is missing may not be promised any more."""
    return transfer(
        f"{reading_id}:shortfall", "float.shortfall", reading_id, (at.missing, at.available, amount)
    )
