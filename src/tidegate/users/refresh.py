"""Refresh: a refresh token for a new access token and its own successor (B2).

A used token that is shown again means that somebody has a copy, and nobody can tell who: the
whole family ends, and with it every access token of the session. The one innocent case, an answer
that was lost on its way, is told apart by time and by the successor not having been used.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import structlog

from tidegate.clock import Clock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import Change, Insert
from tidegate.errors import AlreadyExists, InvalidToken, RefreshReused, Stale
from tidegate.users.login import Grant
from tidegate.users.readings import Row, token_by_id
from tidegate.users.refresh_tokens import Shown, Standing, reading_of, standing_of
from tidegate.users.rules import UserRules
from tidegate.users.tables import refresh_tokens, sessions
from tidegate.users.tokens import AccessTokens

__all__ = ["Refresh", "find_token"]

log = structlog.get_logger()

_TRIES = 3


class Refresh:
    """Exchange a refresh token. Raises ``InvalidToken``, ``RefreshReused``."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        rules: UserRules,
        tokens: AccessTokens,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._rules = rules
        self._tokens = tokens
        self._grace_ms = round(rules.refresh_grace_s * 1000)

    async def __call__(self, token: str) -> Grant:
        shown = reading_of(self._rules.secret_keys, token)
        for tries_left in reversed(range(_TRIES)):
            row = await find_token(self._database, [each.id for each in shown])
            after = None
            if row is not None and row["used_at"] is not None:
                after = await find_token(self._database, [each.successor_id for each in shown])
            now_ms = self._clock.now_ms()
            standing = standing_of(row, after, now_ms=now_ms, grace_ms=self._grace_ms)
            if row is None or standing is Standing.VOID:
                raise InvalidToken()
            match standing:
                case Standing.FRESH:
                    try:
                        await self._exchange(row, shown[0], now_ms)
                    except (Stale, AlreadyExists):
                        # Shown twice at once, or revoked: the rows say which.
                        if not tries_left:
                            raise
                        continue
                    return self._grant(row, shown[0].successor, now_ms)
                case Standing.REPEATED:
                    assert after is not None  # by the standing
                    (same,) = (each for each in shown if each.successor_id == after["id"])
                    return self._grant(row, same.successor, now_ms)
                case Standing.REUSED:
                    await self._end_family(row, now_ms)
                    raise RefreshReused()
        raise AssertionError("unreachable: the last try returns or raises")

    async def _exchange(self, row: Row, shown: Shown, now_ms: int) -> None:
        successor = {
            "id": shown.successor_id,
            "session_id": row["session_id"],
            "created_at": now_ms,
        }
        await self._committer.commit(
            Unit(
                [
                    Change(
                        refresh_tokens, row["id"], {"used_at": now_ms}, expect={"used_at": None}
                    ),
                    Change(
                        sessions,
                        row["session_id"],
                        {"last_used_at": now_ms},
                        expect={"revoked_at": None},
                    ),
                    Insert(refresh_tokens, successor, once=True),
                ]
            )
        )

    async def _end_family(self, row: Row, now_ms: int) -> None:
        ended = {"revoked_at": now_ms, "revoked_why": "refresh_token_reused"}
        with suppress(Stale):  # somebody ended it first
            await self._committer.commit(
                Unit([Change(sessions, row["session_id"], ended, expect={"revoked_at": None})])
            )
        log.warning("auth.refresh_reused", user_id=row["user_id"], session_id=row["session_id"])

    def _grant(self, row: Row, successor: str, now_ms: int) -> Grant:
        access = self._tokens.issue(
            user_id=row["user_id"],
            session_id=row["session_id"],
            version=row["token_version"],
            role=row["role"],
        )
        left_s = (row["expires_at"] - now_ms) // 1000
        return Grant(
            row["user_id"],
            row["session_id"],
            access,
            self._rules.access_ttl_s,
            successor,
            left_s,
        )


async def find_token(database: Database, ids: list[str]) -> Row | None:
    """The row of a token that is stored under one of ``ids``."""
    for each in ids:
        row = await database.fetch(partial(token_by_id, token_id=each))
        if row is not None:
            return row
    return None
