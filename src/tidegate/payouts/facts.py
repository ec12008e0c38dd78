"""The facts a decision needs, read fresh enough.

Balances and switches are read from the database at most every 100 ms: the floor in the book has
the last word on money, and a kill switch takes effect within that time, in every process; so
does a newly verified bank list. Circuits are this process's own experience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from tidegate.cases.switches import switches
from tidegate.clock import Clock
from tidegate.db.engine import Database
from tidegate.ledger.tables import accounts
from tidegate.payouts.circuit import Circuits
from tidegate.payouts.institutions import Directory
from tidegate.payouts.policy import Facts
from tidegate.payouts.tables import bank_lists

__all__ = ["FactsReader", "read_float"]

_FRESH_S = 0.1
_PARTS = ("available", "reserved", "suspense", "missing", "surplus")

_float = select(accounts.c.path, accounts.c.balance).where(accounts.c.path.like("psp:%"))
_switches = select(switches.c.id)
_verified = select(func.coalesce(func.sum(bank_lists.c.verified_at), 0))


def read_float(connection: Connection) -> dict[tuple[str, str], dict[str, int]]:
    """The float accounts by (PSP, currency): ``available reserved suspense missing surplus``."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for path, balance in connection.execute(_float):
        _, psp, part, currency = path.split(":")
        if part in _PARTS:
            found.setdefault((psp, currency), dict.fromkeys(_PARTS, 0))[part] = balance
    return found


class FactsReader:
    """Reads :class:`Facts` for the verbs of one process."""

    def __init__(
        self, database: Database, clock: Clock, directory: Directory, circuits: Circuits
    ) -> None:
        self._database = database
        self._clock = clock
        self._directory = directory
        self._circuits = circuits
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._verified_at = -1
        self._available: Mapping[tuple[str, str], int] = {}
        self._switched_off: frozenset[str] = frozenset()

    def forget(self) -> None:
        """The next question is answered by a new reading."""
        self._read_at = float("-inf")

    async def now(self) -> Facts:
        async with self._reading:  # who comes during a reading waits for its result
            if self._clock.monotonic() - self._read_at > _FRESH_S:
                began = self._clock.monotonic()
                self._available, self._switched_off, verified_at = await self._database.fetch(_read)
                if verified_at != self._verified_at:  # another process verified a bank list
                    await self._directory.load(self._database)
                    self._verified_at = verified_at
                self._read_at = began
        return Facts(
            available=self._available,
            routes=self._directory.routes,
            switched_off=self._switched_off,
            resting=self._circuits.resting(),
        )


def _read(connection: Connection) -> tuple[dict[tuple[str, str], int], frozenset[str], int]:
    available = {key: parts["available"] for key, parts in read_float(connection).items()}
    switched_off = frozenset(row.id for row in connection.execute(_switches))
    return available, switched_off, connection.execute(_verified).scalar_one()
