"""Which institution is which bank code at which PSP, and whether the PSP agrees.

The shipped tables (``data/``, sources in ``data/NOTICE``) are a claim; a PSP's own bank list is
the proof. :func:`verify` compares the two, and only what it calls supported may be paid (A12,
``contracts/psp.md`` 4). Nothing is ever matched by name at payout time: the code decides, and the
name only shows that the code still means the same bank.

How names are compared. Both are cut into words; words that say nothing about which bank it is
(bank, plc, microfinance, Nigeria, ...) are left out, and a trailing "bank" is cut off ("Citibank"
is "citi"). Two names are similar when

* the letters left are the same ("STANDARDCHARTERED", "Standard Chartered Bank"), or
* one is the other's initials ("UBA", "United Bank for Africa"; "GTBank", "Guaranty Trust Bank"), or
* more than half of the words of the shorter name occur in the longer ("ACCESS(DIAMOND)",
  "Diamond Bank"),

and no other institution of the mapping fits the listed name better: "FIRST CITY MONUMENT BANK"
shares a word with First Bank of Nigeria, but FCMB fits it better.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from tidegate.ports.bank import ListedBank

__all__ = [
    "Institution",
    "Verified",
    "load_institutions",
    "psp_codes",
    "shrunk",
    "verify",
]

_DATA: Final = resources.files(__package__ or "tidegate.adapters") / "data"

# The column of the Nigerian table that holds a PSP's code, by the PSP's name on the wire.
_PSP_COLUMNS: Final[Mapping[str, str]] = {
    "lenco": "lenco_v1_code",
    "paystack": "paystack_code",
    "flutterwave": "flutterwave_code",
}

# Institutions the aggregator still lists and we never pay to.
_REFUSED: Final[Mapping[str, str]] = {
    "HBCLNGLA": "the central bank revoked the licence of Heritage Bank on 3 June 2024",
}


@dataclass(frozen=True, slots=True)
class Institution:
    """A bank or wallet as the aggregator names it (contracts/aggregator.md 1).

    ``kind`` is ``bank`` or ``mobile_money``; ``currency`` the wire code; ``psp_codes`` maps a PSP's
    name to its own code and is empty when no shipped adapter reaches it; ``refused`` is the reason
    when it must not be paid at all.
    """

    code: str
    name: str
    kind: str
    currency: str
    psp_codes: Mapping[str, str]
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What a PSP's bank list says of our mapping; all keyed by institution code.

    ``supported`` gives the PSP's code; ``missing`` the codes that vanished from the list;
    ``names_that_differ`` our name and the listed one. The last two are not supported.
    """

    supported: Mapping[str, str]
    missing: Mapping[str, str]
    names_that_differ: Mapping[str, tuple[str, str]]


@lru_cache(maxsize=1)
def load_institutions() -> Mapping[str, Institution]:
    """Read the shipped tables: institution code -> :class:`Institution`."""
    found = [
        Institution(
            code=row["institution_code"],
            name=row["name"].strip(),
            kind=row["type"],
            currency="NGN",
            psp_codes=MappingProxyType(
                {psp: row[column] for psp, column in _PSP_COLUMNS.items() if row[column]}
            ),
            refused=_REFUSED.get(row["institution_code"]),
        )
        for row in _rows("institutions-ng.csv")
    ]
    found += [
        Institution(
            code=row["institution_code"],
            name=row["name"].strip(),
            kind=row["type"],
            currency=row["currency"],
            psp_codes=MappingProxyType({}),
            refused=_REFUSED.get(row["institution_code"]),
        )
        for row in _rows("institutions-other.csv")
    ]
    return MappingProxyType({each.code: each for each in found})


def psp_codes(
    institutions: Mapping[str, Institution], psp: str, currency: str
) -> Mapping[str, tuple[str, str]]:
    """What :func:`verify` takes: institution code -> (the PSP's code, our name).

    Refused institutions are not in it.
    """
    return {
        each.code: (each.psp_codes[psp], each.name)
        for each in institutions.values()
        if each.currency == currency and psp in each.psp_codes and each.refused is None
    }


def verify(mapping: Mapping[str, tuple[str, str]], listed: Iterable[ListedBank]) -> Verified:
    """Compare our codes with the PSP's list.

    ``mapping`` is institution code -> (the PSP's code, our name). Where the list has a code twice,
    one fitting name is enough.
    """
    names: dict[str, list[str]] = {}
    for bank in listed:
        names.setdefault(bank.code, []).append(bank.name)

    supported: dict[str, str] = {}
    missing: dict[str, str] = {}
    differing: dict[str, tuple[str, str]] = {}
    for institution, (code, ours) in mapping.items():
        theirs = names.get(code)
        if theirs is None:
            missing[institution] = code
        elif any(_is_same_bank(ours, name, mapping.values()) for name in theirs):
            supported[institution] = code
        else:
            differing[institution] = (ours, theirs[0])
    return Verified(supported, missing, differing)


def shrunk(previous: Set[str], now: Set[str]) -> bool:
    """Say whether more than 10 % of what was there is gone: then ``previous`` is to be kept.

    What was added does not make up for what vanished.
    """
    return len(previous - now) * 10 > len(previous)


def _rows(file: str) -> Iterable[dict[str, str]]:
    with (_DATA / file).open(encoding="utf-8") as table:
        yield from csv.DictReader(table)


def _is_same_bank(ours: str, listed: str, mapping: Iterable[tuple[str, str]]) -> bool:
    fit = _fit(ours, listed)
    return fit > 0 and all(_fit(other, listed) <= fit for _, other in mapping)


# Words that do not tell one bank from another; the initials keep some of them.
_LINKS: Final = frozenset({"and", "for", "of", "the"})
_SAY_NOTHING: Final = _LINKS | {
    "bank",
    "banking",
    "company",
    "limited",
    "ltd",
    "merchant",
    "mfb",
    "microfinance",
    "nig",
    "nigeria",
    "plc",
    "psb",
}


@lru_cache(maxsize=4096)
def _fit(one: str, other: str) -> float:
    """How well two names fit: 0 (not at all) to 1 (the same letters, or initials)."""
    first, second = _Words.of(one), _Words.of(other)
    if not first.telling or not second.telling:
        return 0.0
    if first.joined == second.joined:
        return 1.0
    if first.joined in second.initials or second.joined in first.initials:
        return 1.0
    common = len(first.telling & second.telling)
    if 2 * common <= min(len(first.telling), len(second.telling)):
        return 0.0
    return common / len(first.telling | second.telling)


@dataclass(frozen=True, slots=True)
class _Words:
    telling: frozenset[str]
    joined: str
    initials: frozenset[str]

    @classmethod
    def of(cls, name: str) -> _Words:
        plain = unicodedata.normalize("NFKD", name.casefold())
        words = re.findall(r"[a-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c)))
        # "bank" alone says nothing and is gone before, so no word becomes empty.
        kept = [word.removesuffix("bank") for word in words if word not in _SAY_NOTHING]
        linked = [word for word in words if word not in _LINKS]
        spellings = ("".join(w[0] for w in linked), "".join(w[0] for w in kept))
        # Two letters are initials only as long as a name of two telling words stands behind them.
        return cls(frozenset(kept), "".join(kept), frozenset(s for s in spellings if len(s) >= 2))
