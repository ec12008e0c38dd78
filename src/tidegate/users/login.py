"""Log in: a password for a session, an access token and the first refresh token of a family.

Whoever asks cannot tell an unknown address from a wrong password or a disabled account: one
verification each, and one answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import Change, Insert
from tidegate.errors import InvalidCredentials, Stale
from tidegate.users.emails import email_key
from tidegate.users.passwords import Passwords
from tidegate.users.readings import Row, user_by_email
from tidegate.users.refresh_tokens import new_token, token_id
from tidegate.users.rules import UserRules
from tidegate.users.tables import refresh_tokens, sessions, users
from tidegate.users.tokens import AccessTokens

__all__ = ["Caller", "Grant", "LogIn"]

log = structlog.get_logger()

_TRIES = 3
_ADDRESS_MAX = 64
_USER_AGENT_MAX = 256


@dataclass(frozen=True, slots=True)
class Caller:
    """From where, for the user's list of sessions: an IP address and a ``User-Agent``."""

    address: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a log-in or a refresh gives. Lives are in seconds, from now."""

    user_id: str
    session_id: str
    access_token: str = field(repr=False)
    access_life_s: int
    refresh_token: str = field(repr=False)
    refresh_life_s: int


class LogIn:
    """Check a password, begin a session. Raises ``InvalidCredentials``, ``Unavailable``."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        rules: UserRules,
        passwords: Passwords,
        tokens: AccessTokens,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._passwords = passwords
        self._tokens = tokens

    async def __call__(self, email: str, password: str, caller: Caller) -> Grant:
        key = email_key(email)
        for tries_left in reversed(range(_TRIES)):
            row = None
            if key is not None:
                row = await self._database.fetch(lambda c: user_by_email(c, key))
            active = row is not None and row["state"] == "active"
            hashed = row["password_hash"] if row is not None and active else None
            if not await self._passwords.verify(password, hashed) or row is None:
                log.info("auth.login_refused", user_id=row["id"] if row is not None else None)
                raise InvalidCredentials()
            new_hash = await self._passwords.upgraded(password, row["password_hash"])
            try:
                return await self._begin(row, new_hash, caller)
            except Stale:
                # Another log-in upgraded the hash, or the password was changed, meanwhile.
                if not tries_left:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def _begin(self, row: Row, new_hash: str | None, caller: Caller) -> Grant:
        now_ms = self._clock.now_ms()
        session_id, token = self._randomness.new_id("ses"), new_token()
        session = {
            "id": session_id,
            "user_id": row["id"],
            "created_at": now_ms,
            "last_used_at": now_ms,
            "expires_at": now_ms + self._rules.session_ttl_s * 1000,
            "address": caller.address[:_ADDRESS_MAX],
            "user_agent": caller.user_agent[:_USER_AGENT_MAX],
        }
        first = {
            "id": token_id(self._rules.secret_keys[0], token),
            "session_id": session_id,
            "created_at": now_ms,
        }
        upgrade = {} if new_hash is None else {"password_hash": new_hash, "updated_at": now_ms}
        # The user as it was judged: see ``revoke`` for the log-out-everywhere that comes between.
        judged = {name: row[name] for name in ("state", "token_version", "password_hash")}
        await self._committer.commit(
            Unit(
                [
                    Change(users, row["id"], upgrade, expect=judged),
                    Insert(sessions, session),
                    Insert(refresh_tokens, first),
                ]
            )
        )
        log.info("auth.logged_in", user_id=row["id"], session_id=session_id)
        access = self._tokens.issue(
            user_id=row["id"],
            session_id=session_id,
            version=row["token_version"],
            role=row["role"],
        )
        return Grant(
            row["id"],
            session_id,
            access,
            self._rules.access_ttl_s,
            token,
            self._rules.session_ttl_s,
        )
