"""Refresh tokens: what they are, what is stored of them, and what a shown one means. Pure.

A token is 256 bits that nobody can guess, as text. The first of a family comes from the operating
system (``secrets``): ``clock.Randomness`` is seeded for replays, so what it gives can be
foretold. Each further one is derived from its predecessor under ``SECRET_KEY``: a client whose
answer was lost shows the old token again, and the same successor is computed again, without ever
being stored. Stored is a keyed hash, so that a copy of the database opens nothing.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from tidegate.users.rules import keyed_hash

__all__ = ["Shown", "Standing", "new_token", "reading_of", "standing_of", "token_id"]

Row = Mapping[str, Any]

_BYTES: Final = 32


def new_token() -> str:
    """The first token of a family."""
    return secrets.token_urlsafe(_BYTES)


def token_id(secret: str, token: str) -> str:
    """The row of ``token``: its keyed hash in hex."""
    return keyed_hash(secret, "refresh token", token).hex()


@dataclass(frozen=True, slots=True)
class Shown:
    """A shown token under one of our secrets: its row's id, its successor and that one's id."""

    id: str
    successor: str
    successor_id: str


def reading_of(secrets_: Sequence[str], token: str) -> list[Shown]:
    """What the rows of ``token`` and its successor would be called, a secret each.

    A token that was stored under the previous secret is found while that secret is kept.
    """
    shown = []
    for secret in secrets_:
        derived = keyed_hash(secret, "refresh token successor", token)
        successor = base64.urlsafe_b64encode(derived).rstrip(b"=").decode()
        shown.append(Shown(token_id(secret, token), successor, token_id(secret, successor)))
    return shown


class Standing(Enum):
    """What a shown token is worth."""

    FRESH = auto()
    """Not used before: it is exchanged."""
    REPEATED = auto()
    """Used a moment ago, its successor not yet: the answer was lost, and is given again."""
    REUSED = auto()
    """Used before: somebody has a copy."""
    VOID = auto()
    """Of no session that lives."""


def standing_of(
    token: Row | None, successor: Row | None, *, now_ms: int, grace_ms: int
) -> Standing:
    """``token`` holds its row with ``expires_at``, ``revoked_at`` of its session and ``state``
    of its user; ``successor`` the row of the token it was exchanged for."""
    if token is None or token["revoked_at"] is not None or token["state"] != "active":
        return Standing.VOID
    if token["expires_at"] <= now_ms:
        return Standing.VOID
    if token["used_at"] is None:
        return Standing.FRESH
    within = now_ms - token["used_at"] <= grace_ms
    if within and successor is not None and successor["used_at"] is None:
        return Standing.REPEATED
    return Standing.REUSED
