"""Accounts: open one, look at it, change its password."""

from __future__ import annotations

import structlog

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import Change, Insert
from tidegate.errors import (
    AlreadyExists,
    EmailTaken,
    InvalidCredentials,
    InvalidToken,
    Stale,
    WeakPassword,
)
from tidegate.users.emails import check_email, email_parts
from tidegate.users.identify import Identity
from tidegate.users.passwords import Passwords
from tidegate.users.readings import Row, user_by_email, user_by_id
from tidegate.users.revoke import RevokeSessions
from tidegate.users.strength import normal
from tidegate.users.tables import users

__all__ = ["Accounts", "new_user"]

log = structlog.get_logger()

_TRIES = 3


def new_user(
    user_id: str, email: str, key: str, password_hash: str, role: str, now_ms: int
) -> dict[str, str | int]:
    """The row of a new, active user."""
    return {
        "id": user_id,
        "email": email,
        "email_key": key,
        "password_hash": password_hash,
        "role": role,
        "state": "active",
        "token_version": 1,
        "created_at": now_ms,
        "updated_at": now_ms,
    }


class Accounts:
    """What a person does with their own account."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        passwords: Passwords,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._passwords = passwords

    async def register(self, email: str, password: str) -> Row:
        """Open an account; answers its row.

        Raises ``ValidationFailed`` for what is no address, ``WeakPassword``, ``EmailTaken``.
        """
        key = check_email(email)
        await self._passwords.check_strength(password, email_parts(key))
        if await self._database.fetch(lambda c: user_by_email(c, key)) is not None:
            raise EmailTaken()
        hashed = await self._passwords.hash(password)
        user_id = self._randomness.new_id("usr")
        row = new_user(user_id, email, key, hashed, "user", self._clock.now_ms())
        try:
            await self._committer.commit(Unit([Insert(users, row)]))
        except AlreadyExists:  # two at once: the index says who was first
            raise EmailTaken() from None
        log.info("auth.registered", user_id=user_id)
        return row

    async def show(self, identity: Identity) -> Row:
        """The account of who is asking. Raises ``InvalidToken`` when it is gone."""
        row = await self._database.fetch(lambda c: user_by_id(c, identity.user_id))
        if row is None:
            raise InvalidToken()
        return row

    async def change_password(self, identity: Identity, current: str, new: str) -> None:
        """Set a new password; only the session that asks lives on, by its refresh token.

        Every access token is void at once, the one that asks too. Raises ``InvalidCredentials``
        for a wrong current password, ``WeakPassword``.
        """
        for tries_left in reversed(range(_TRIES)):
            row = await self.show(identity)
            if not await self._passwords.verify(current, row["password_hash"]):
                log.info("auth.password_refused", user_id=identity.user_id)
                raise InvalidCredentials("The current password is wrong.")
            if normal(new) == normal(current):
                raise WeakPassword("The new password is the current one: take another one.")
            await self._passwords.check_strength(new, email_parts(row["email_key"]))
            try:
                await self._replace(row, await self._passwords.hash(new), identity.session_id)
            except Stale:
                # A log-in upgraded the hash, or another session set a password, meanwhile.
                if not tries_left:
                    raise
                continue
            log.info("auth.password_changed", user_id=identity.user_id)
            return
        raise AssertionError("unreachable: the last try returns or raises")

    async def _replace(self, row: Row, hashed: str, keep: str) -> None:
        values = {
            "password_hash": hashed,
            "token_version": row["token_version"] + 1,
            "updated_at": self._clock.now_ms(),
        }
        judged = {name: row[name] for name in ("state", "token_version", "password_hash")}
        await self._committer.commit(
            Unit(
                [
                    Change(users, row["id"], values, expect=judged),
                    RevokeSessions(row["id"], "password_changed", keep),
                ]
            )
        )
