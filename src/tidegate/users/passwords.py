"""Hashing passwords: Argon2id, off the event loop, a few at a time.

A log-in costs the same hash operations whether the account exists or not: an unknown one is
verified against the hash of a password that nobody has (``on_work`` counts, so that a test can
say so without a stop-watch). A bcrypt hash from elsewhere is accepted and replaced at its owner's
first log-in; until then it takes its own time, which is the price of taking accounts over.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import cache
from typing import Final, Literal, TypeVar

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from tidegate.errors import Unavailable, ValidationFailed
from tidegate.users.strength import check_password, normal

__all__ = ["Passwords", "Work"]

T = TypeVar("T")
Work = Literal["verify", "hash"]

# OWASP's Password Storage Cheat Sheet: Argon2id with 19 MiB, two passes, one lane.
_MEMORY_KIB: Final = 19_456
_PASSES: Final = 2
_LANES: Final = 1
_BCRYPT_BYTES: Final = 72
# Each takes 19 MiB and a core for some hundredths of a second.
_AT_ONCE: Final = 2
_WAITING_MAX: Final = 64


class _Bcrypt(BcryptHasher):
    """bcrypt as it always was: only the first 72 bytes count."""

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:
        raw = password.encode() if isinstance(password, str) else password
        # The library refuses what is longer; whoever made the hash cut it off silently.
        return super().verify(raw[:_BCRYPT_BYTES], hash)


def _argon2() -> Argon2Hasher:
    return Argon2Hasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)


@cache
def _nobodys_hash() -> str:
    """Of a password that nobody has: one a process is enough."""
    return _argon2().hash(secrets.token_urlsafe(32))


class Passwords:
    """One per process: it bounds how many hashes are computed at once."""

    def __init__(self, *, on_work: Callable[[Work], object] = lambda work: None) -> None:
        self._hasher = PasswordHash((_argon2(), _Bcrypt()))
        self._on_work = on_work
        self._nobodys = _nobodys_hash()
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A new Argon2id hash. Raises ``Unavailable`` when too many wait."""
        return await self._run(lambda: self.hash_now(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether ``password`` belongs to ``hashed``; ``None`` (nobody) costs the same and is
        never right. Raises ``Unavailable`` when too many wait."""
        return await self._run(lambda: self._verify_now(password, hashed))

    async def upgraded(self, password: str, hashed: str) -> str | None:
        """The hash to store instead of ``hashed``, once ``password`` was verified; ``None``
        when ``hashed`` is as it should be."""
        current = self._hasher.current_hasher
        if current.identify(hashed) and not current.check_needs_rehash(hashed):
            return None
        return await self.hash(password)

    async def check_strength(self, password: str, own_words: list[str]) -> None:
        """:func:`check_password` away from the event loop: a hostile password keeps it busy.
        Raises ``WeakPassword``."""
        await self._run(lambda: check_password(password, own_words))

    def hash_now(self, password: str) -> str:
        """:meth:`hash` in this thread, for the command line."""
        self._on_work("hash")
        return self._hasher.hash(_bytes(password))

    def check_hash(self, hashed: str) -> str:
        """``hashed`` as given, if it is of a kind that can be verified. Raises
        ``ValidationFailed``."""
        if not any(kind.identify(hashed) for kind in self._hasher.hashers):
            message = "This is neither an Argon2 nor a bcrypt hash."
            raise ValidationFailed(
                [{"field": "password", "code": "unknown_hash", "message": message}], message
            )
        return hashed

    def _verify_now(self, password: str, hashed: str | None) -> bool:
        self._on_work("verify")
        try:
            right = self._hasher.verify(_bytes(password), hashed or self._nobodys)
        except UnknownHashError:  # a locked account: costs what an unknown one costs
            self._hasher.verify(_bytes(password), self._nobodys)
            return False
        return right and hashed is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING_MAX:
            raise Unavailable()
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def _bytes(password: str) -> bytes:
    # A lone surrogate is no text, but it must not end a log-in with an error of ours.
    return normal(password).encode("utf-8", "surrogatepass")
