"""Rate limits: how often somebody may try something (B3).

A window begins with the first try and lasts ``window_s``; as many tries as the limit says pass,
the rest of the window is refused. Names of buckets hold no personal data: addresses and accounts
are keyed hashes.

One process (SQLite) counts in memory. On PostgreSQL, where several processes serve, each try is
one upsert. It does not go through the committer: a try counts whatever becomes of its request, a
committer's unit knows rows by what is expected of them and not "one more", and a flood of log-ins
must not stand in the queue that payouts wait in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from sqlalchemy import BigInteger, Connection, bindparam, case, delete
from sqlalchemy.dialects import postgresql

from tidegate.clock import Clock
from tidegate.db.engine import Database
from tidegate.users.rules import UserRules, keyed_hash
from tidegate.users.tables import rate_limits

__all__ = [
    "Limit",
    "LimitName",
    "Limits",
    "MemoryLimits",
    "PostgresqlLimits",
    "Taken",
    "limits_of",
    "make_limits",
    "subject_of",
    "who_calls",
]

LimitName = Literal["register", "login", "password", "session", "write"]

_MINUTE_S: Final = 60
_BUCKETS_MAX: Final = 50_000
_FORGET_EVERY_MS: Final = 600_000
_FORGET_AFTER_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Limit:
    """``count`` tries in ``window_s`` seconds, under a name that callers are told."""

    name: str
    count: int
    window_s: int = _MINUTE_S


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a try leaves its bucket: how many are left, and in how many seconds all are again."""

    limit: Limit
    refused: bool
    remaining: int
    reset_s: int


class Limits(Protocol):
    """Counts tries."""

    async def take(self, limit: Limit, subject: str) -> Taken:
        """Count one try of ``subject`` (a word without personal data, at most 128 long)."""
        ...


def limits_of(rules: UserRules) -> Mapping[LimitName, Limit]:
    """The limits there are. ``login`` is the bucket of log-in and token, ``session`` of refresh
    and log-out, ``write`` of a user's writes elsewhere."""
    return {
        "register": Limit("register", rules.auth_per_minute),
        "login": Limit("login", rules.auth_per_minute),
        "password": Limit("password", rules.auth_per_minute),
        "session": Limit("session", rules.renewals_per_minute),
        "write": Limit("write", rules.writes_per_minute),
    }


def make_limits(database: Database, clock: Clock) -> Limits:
    """In memory where one process serves, in the database where several may."""
    if database.dialect == "postgresql":
        return PostgresqlLimits(database, clock)
    return MemoryLimits(clock)


def subject_of(rules: UserRules, kind: Literal["address", "account", "user"], text: str) -> str:
    """The name under which ``text`` is counted; it cannot be read back."""
    return f"{kind}:{keyed_hash(rules.secret_keys[0], f'rate limit {kind}', text).hex()[:32]}"


def who_calls(host: str | None) -> str:
    """The address that is counted: IPv4 as it is, IPv6 by its /64, which one customer holds.

    What is no address (a socket's path, a proxy's invention) counts as one caller.
    """
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class MemoryLimits:
    """Counts in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[int, int]] = {}

    async def take(self, limit: Limit, subject: str) -> Taken:
        now_ms, bucket = self._clock.now_ms(), _bucket(limit, subject)
        started, count = self._buckets.get(bucket, (now_ms, 0))
        if now_ms - started >= limit.window_s * 1000:
            started, count = now_ms, 0
        self._buckets[bucket] = (started, count + 1)
        if len(self._buckets) > _BUCKETS_MAX:
            self._forget(now_ms)
        return _taken(limit, started, count + 1, now_ms)

    def _forget(self, now_ms: int) -> None:
        """What is over first, then the oldest: memory is bounded whoever calls."""
        ordered = sorted(self._buckets.items(), key=lambda item: item[1][0])
        kept = [item for item in ordered if now_ms - item[1][0] < _FORGET_AFTER_MS]
        self._buckets = dict(kept[-_BUCKETS_MAX // 2 :])


class PostgresqlLimits:
    """Counts in the database, for all processes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # Buckets that are known to be full, until when: a flood costs the database nothing.
        self._full: dict[str, tuple[int, int]] = {}
        self._forgotten_ms = clock.now_ms()

    async def take(self, limit: Limit, subject: str) -> Taken:
        now_ms, bucket = self._clock.now_ms(), _bucket(limit, subject)
        started, until = self._full.get(bucket, (0, 0))
        if now_ms < until:
            return _taken(limit, started, limit.count + 1, now_ms)
        if now_ms - self._forgotten_ms > _FORGET_EVERY_MS:
            await self._forget(now_ms)
        started, count = await self._database.write(lambda c: _count(c, bucket, limit, now_ms))
        taken = _taken(limit, started, count, now_ms)
        if taken.refused:
            self._full[bucket] = (started, started + limit.window_s * 1000)
        return taken

    async def _forget(self, now_ms: int) -> None:
        self._forgotten_ms = now_ms
        self._full = {name: full for name, full in self._full.items() if full[1] > now_ms}
        before_ms = now_ms - _FORGET_AFTER_MS
        await self._database.write(lambda c: c.execute(_delete, {"before_ms": before_ms}))


def _bucket(limit: Limit, subject: str) -> str:
    return f"{limit.name}:{subject}"


def _taken(limit: Limit, started_ms: int, count: int, now_ms: int) -> Taken:
    left_ms = started_ms + limit.window_s * 1000 - now_ms
    # Another process's clock may be ahead of ours; no wait is longer than the window.
    reset_s = min(max(1, -(-left_ms // 1000)), limit.window_s)
    return Taken(limit, count > limit.count, max(0, limit.count - count), reset_s)


def _count(connection: Connection, bucket: str, limit: Limit, now_ms: int) -> tuple[int, int]:
    values: dict[str, Any] = {
        "bucket": bucket,
        "now_ms": now_ms,
        "over_ms": now_ms - limit.window_s * 1000,
    }
    started, count = connection.execute(_upsert, values).one()
    return started, count


_is_over = rate_limits.c.window_started_at <= bindparam("over_ms", type_=BigInteger())
_insert = postgresql.insert(rate_limits).values(
    id=bindparam("bucket"), window_started_at=bindparam("now_ms"), count=1
)
# The row is locked by the statement itself: two processes never count the same try number.
_upsert: Final = _insert.on_conflict_do_update(
    index_elements=[rate_limits.c.id],
    set_={
        "window_started_at": case(
            (_is_over, _insert.excluded.window_started_at), else_=rate_limits.c.window_started_at
        ),
        "count": case((_is_over, 1), else_=rate_limits.c.count + 1),
    },
).returning(rate_limits.c.window_started_at, rate_limits.c.count)
_delete: Final = delete(rate_limits).where(rate_limits.c.window_started_at < bindparam("before_ms"))
