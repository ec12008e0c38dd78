"""Identify: who sent this access token, if its session still lives (B2).

One indexed read a request, never a cache: a log-out, a new password or a disabled account voids
every token with its commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.clock import Clock
from tidegate.db.engine import Database
from tidegate.errors import InvalidToken
from tidegate.users.readings import session_of_token
from tidegate.users.tokens import AccessTokens

__all__ = ["Identify", "Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking. ``role`` is what the database says now, not what the token says."""

    user_id: str
    session_id: str
    role: str
    token_expires_ms: int


class Identify:
    """Judge an access token. Raises ``InvalidToken``."""

    def __init__(self, database: Database, clock: Clock, tokens: AccessTokens) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens

    async def __call__(self, token: str) -> Identity:
        claims = self._tokens.read(token)
        row = await self._database.fetch(lambda c: session_of_token(c, claims.session_id))
        if (
            row is None
            or row["user_id"] != claims.user_id
            or row["state"] != "active"
            or row["token_version"] != claims.version
            or row["revoked_at"] is not None
            or row["expires_at"] <= self._clock.now_ms()
        ):
            raise InvalidToken()
        return Identity(claims.user_id, claims.session_id, row["role"], claims.expires_ms)
