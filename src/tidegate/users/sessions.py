"""Sessions: end this one, end all, list, end another one.

A session is one log-in and the family of refresh tokens that came of it; its end voids them and
its access tokens at once.
"""

from __future__ import annotations

import re
from contextlib import suppress

import structlog

from tidegate.clock import Clock
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import Change
from tidegate.errors import NotFound, Stale
from tidegate.users.identify import Identity
from tidegate.users.readings import Row, living_sessions, session_by_id
from tidegate.users.refresh import find_token
from tidegate.users.refresh_tokens import token_id
from tidegate.users.revoke import RevokeSessions
from tidegate.users.rules import UserRules
from tidegate.users.tables import sessions, users

__all__ = ["Sessions"]

log = structlog.get_logger()

_ID = re.compile(r"[a-z0-9_]{1,64}")


class Sessions:
    """What a user does with their own sessions."""

    def __init__(
        self, database: Database, committer: Committer, clock: Clock, rules: UserRules
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._rules = rules

    async def log_out(self, token: str) -> None:
        """End the session of a refresh token, used or not; a token of none is no error."""
        ids = [token_id(secret, token) for secret in self._rules.secret_keys]
        row = await find_token(self._database, ids)
        if row is not None:
            await self._end(row["session_id"], "logged_out")
            log.info("auth.logged_out", user_id=row["user_id"], session_id=row["session_id"])

    async def log_out_everywhere(self, identity: Identity) -> None:
        """End every session and void every access token of the user, at once."""
        values = {
            "token_version": lambda row: row["token_version"] + 1,
            "updated_at": self._clock.now_ms(),
        }
        await self._committer.commit(
            Unit(
                [
                    Change(users, identity.user_id, values),
                    RevokeSessions(identity.user_id, "logged_out_everywhere"),
                ]
            )
        )
        log.info("auth.logged_out_everywhere", user_id=identity.user_id)

    async def living(self, identity: Identity) -> list[Row]:
        """The user's sessions that can still be used, newest first, at most 100."""
        now_ms = self._clock.now_ms()
        return await self._database.fetch(lambda c: living_sessions(c, identity.user_id, now_ms))

    async def revoke(self, identity: Identity, session_id: str) -> None:
        """End one of the user's own sessions. Raises ``NotFound``, for another's as for none."""
        if not _ID.fullmatch(session_id):  # a database would refuse some texts, not find them
            raise NotFound()
        row = await self._database.fetch(lambda c: session_by_id(c, session_id))
        if row is None or row["user_id"] != identity.user_id or row["revoked_at"] is not None:
            raise NotFound()
        await self._end(session_id, "revoked")
        log.info("auth.session_revoked", user_id=identity.user_id, session_id=session_id)

    async def _end(self, session_id: str, why: str) -> None:
        ended = {"revoked_at": self._clock.now_ms(), "revoked_why": why}
        with suppress(Stale):  # it had ended: what was wanted is so
            await self._committer.commit(
                Unit([Change(sessions, session_id, ended, expect={"revoked_at": None})])
            )
