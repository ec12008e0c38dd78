"""The payout's own references. Pure. Source: ``contracts/psp.md`` 3.8, ``aggregator.md`` 4.3.

Deterministic, so that a crash between writing and sending computes the same one, and valid at
every PSP: ``^[a-z0-9][a-z0-9-]{14,26}[a-z0-9]$``.
"""

from __future__ import annotations

import base64
import hashlib

from tidegate.errors import NotInTable

__all__ = ["attempt_reference", "order_reference", "transaction_id"]

_HASH_CHARACTERS = 22
_MOST_ATTEMPTS = 99


def order_reference(environment: str, node_id: str, order_id: str) -> str:
    """``tg-`` and 22 base32 characters of the hash: the same for the whole life of the order.

    The environment is part of the hash, so that sandbox and live references never collide.
    """
    digest = hashlib.sha256(f"{environment}\n{node_id}\n{order_id}".encode()).digest()
    return f"tg-{base64.b32encode(digest).decode().lower()[:_HASH_CHARACTERS]}"


def attempt_reference(order_reference: str, number: int) -> str:
    """The PSP reference of the ``number``-th attempt (from 1, rising over rounds)."""
    if not 1 <= number <= _MOST_ATTEMPTS:
        raise NotInTable(f"A payout has at most {_MOST_ATTEMPTS} attempts.")
    return f"{order_reference}-{number:02d}"


def transaction_id(order_reference: str, round_number: int) -> str:
    """The ``txId`` told to the aggregator: one for the whole round, whatever PSP pays."""
    return order_reference if round_number == 1 else f"{order_reference}-r{round_number}"
