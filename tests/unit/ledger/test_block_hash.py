"""The hash of a block covers everything in it, in one spelling."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tidegate.ledger.seal import FIRST_PREVIOUS, SealedEntry, SealedLeg, block_hash

_LEGS = (
    SealedLeg("psp:a:available:NGN", "D", 500, 1, 500),
    SealedLeg("float:opening:NGN", "C", 500, 1, 500),
)
_ENTRY = SealedEntry(1, "r:é", "float.opened", "rd_1", 1_728_201_600_000, _LEGS)
_NEXT = dataclasses.replace(_ENTRY, id=3, reference="r2")


def _hash(
    *members: SealedEntry,
    number: int = 1,
    previous: str = FIRST_PREVIOUS,
    at: int = 7,
    count: int = 1,
) -> str:
    return block_hash(number, previous, at, count, members)


def test_the_hashed_bytes_are_these() -> None:
    """Anybody can hash a block again with nothing but a JSON writer and SHA-256."""
    text = (
        "tidegate block 1\n"
        f'[1,"{"0" * 64}",7,1]\n'
        '[1,"r:\\u00e9","float.opened","rd_1",1728201600000,'
        '[["psp:a:available:NGN","D",500,1,500],["float:opening:NGN","C",500,1,500]]]\n'
    )
    assert _hash(_ENTRY) == hashlib.sha256(text.encode("ascii")).hexdigest()


_leg = dataclasses.replace
_EDITS: list[Callable[[], dict[str, Any]]] = [
    lambda: {"id": 2},
    lambda: {"reference": "r"},
    lambda: {"kind": "float.funded"},
    lambda: {"subject": "rd_2"},
    lambda: {"recorded_at": 0},
    lambda: {"legs": _LEGS[:1]},
    lambda: {"legs": _LEGS[::-1]},
    *(
        lambda change=change: {"legs": (_leg(_LEGS[0], **change), _LEGS[1])}
        for change in (
            {"account": "psp:b:available:NGN"},
            {"side": "C"},
            {"amount": 501},
            {"number": 2},
            {"balance_after": 501},
        )
    ),
]


@pytest.mark.parametrize("edit", _EDITS)
def test_any_edit_changes_the_hash(edit: Callable[[], dict[str, Any]]) -> None:
    """Of the entry, or of a leg."""
    assert _hash(dataclasses.replace(_ENTRY, **edit())) != _hash(_ENTRY)


def test_the_frame_is_hashed_too() -> None:
    """Number, previous hash, time, count, and which entries in which order."""
    hashes = [
        _hash(_ENTRY),
        _hash(_ENTRY, number=2),
        _hash(_ENTRY, previous="1" * 64),
        _hash(_ENTRY, at=8),
        _hash(_ENTRY, count=2),
        _hash(_ENTRY, _NEXT),
        _hash(_NEXT, _ENTRY),
        _hash(),
    ]
    assert len(set(hashes)) == len(hashes)
