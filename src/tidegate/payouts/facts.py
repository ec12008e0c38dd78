"""The facts a decision needs, read fresh enough.

Balances and switches are read from the database at most every 100 ms: the floor in the book has
the last word on money, and a kill switch takes effect within that time. Routes come from the
verified bank lists, circuits from this process's own experience.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from tidegate.clock import Clock
from tidegate.db.engine import Database
from tidegate.ledger.tables import accounts
from tidegate.payouts.circuit import Circuits
from tidegate.payouts.institutions import Directory
from tidegate.payouts.policy import Facts
from tidegate.payouts.tables import switches

__all__ = ["FactsReader", "read_float"]

_FRESH_S = 0.1
_PARTS = ("available", "reserved", "suspense", "missing", "surplus")

_float = select(accounts.c.path, accounts.c.balance).where(accounts.c.path.like("psp:%"))
_switches = select(switches.c.id)


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
        self._read_at = float("-inf")
        self._available: Mapping[tuple[str, str], int] = {}
        self._switched_off: frozenset[str] = frozenset()

    async def now(self) -> Facts:
        if self._clock.monotonic() - self._read_at > _FRESH_S:
            self._read_at = self._clock.monotonic()
            self._available, self._switched_off = await self._database.read(_read)
        return Facts(
            available=self._available,
            routes=self._directory.routes,
            switched_off=self._switched_off,
            resting=self._circuits.resting(),
        )


def _read(connection: Connection) -> tuple[dict[tuple[str, str], int], frozenset[str]]:
    available = {key: parts["available"] for key, parts in read_float(connection).items()}
    return available, frozenset(row.id for row in connection.execute(_switches))
