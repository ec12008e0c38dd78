"""Seal: put entries that are in no block yet into the next block of a hash chain (C4).

A block's hash covers its number, its time, the hash before it, its count and every entry with
its legs, so a later edit of any of them shows (``ledger.audit``). Sealing is a periodic task; no
writer of entries ever waits for it, and one process at a time does it.

What is sealed is every committed entry without membership, never "every id above the last":
transactions commit in another order than they take their ids. To keep that from meaning a search
through the whole book each time, each process remembers an id below which nothing can be missing.
On PostgreSQL an id counts as such only when every transaction that ran while it was the last one
taken has ended (their ids were taken by then, or are higher) and nothing below is unsealed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Row, Select, bindparam, exists, func, insert, select, text

from tidegate.db.committer import Batch, Due
from tidegate.db.engine import Database, any_of, any_values
from tidegate.ledger.book import ENTRY_COUNTER
from tidegate.ledger.tables import accounts, block_entries, blocks, entries, legs

__all__ = [
    "FIRST_PREVIOUS",
    "Block",
    "Seal",
    "SealBatch",
    "SealedEntry",
    "SealedLeg",
    "block_hash",
    "read_entries",
]

FIRST_PREVIOUS = "0" * 64
"""What the first block names as the hash before it."""

_FORMAT = "tidegate block 1"
# Any fixed number; it only must not be used for another advisory lock.
_SEAL_LOCK = 7_391_402_218


@dataclass(frozen=True, slots=True)
class SealedLeg:
    """A leg as it is hashed. ``account`` is its path, ``side`` is ``D`` or ``C``."""

    account: str
    side: str
    amount: int
    number: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry as it is hashed; its legs in their order."""

    id: int
    reference: str
    kind: str
    subject: str
    recorded_at: int
    legs: tuple[SealedLeg, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block. ``sealed_at`` is Unix milliseconds, ``hash`` 64 hexadecimal digits."""

    id: int
    previous: str
    hash: str
    count: int
    sealed_at: int


def block_hash(
    number: int, previous: str, sealed_at: int, count: int, members: Iterable[SealedEntry]
) -> str:
    """The SHA-256 of a block, in hexadecimal. Pure; ``members`` in the order of their ids.

    What is hashed are lines of ASCII, each ended by a line feed: the name of this format; a JSON
    array of number, previous hash, time and count; and for each entry a JSON array of id,
    reference, kind, subject, time and legs, a leg being an array of account, side, amount,
    number and balance. JSON without blanks, characters beyond ASCII escaped.
    """
    digest = hashlib.sha256(f"{_FORMAT}\n".encode())
    digest.update(_line([number, previous, sealed_at, count]))
    for entry in members:
        digest.update(
            _line(
                [
                    entry.id,
                    entry.reference,
                    entry.kind,
                    entry.subject,
                    entry.recorded_at,
                    [
                        [leg.account, leg.side, leg.amount, leg.number, leg.balance_after]
                        for leg in entry.legs
                    ],
                ]
            )
        )
    return digest.hexdigest()


def _line(values: list[Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode("ascii") + b"\n"


@dataclass(frozen=True, slots=True)
class Seal:
    """Seal up to ``limit`` entries; answers the :class:`Block`, or ``None``.

    ``None``: there is nothing to seal, or another process is sealing at this moment. A block as
    full as ``limit`` means that there may be more.
    """

    batch: ClassVar[type[Batch]]
    limit: int = 1_000


@dataclass(slots=True)
class _Searched:
    """What one process knows of a database's entries: none at or below ``floor`` is unsealed or
    can still appear. ``last`` is the next floor once all transactions below ``horizon`` ended."""

    floor: int = 0
    last: int = 0
    horizon: int = 0


_searched: WeakKeyDictionary[Database, _Searched] = WeakKeyDictionary()


class SealBatch:
    """The seals of a group: the first one seals."""

    # After the rows and accounts, whose locks it therefore never makes wait for it.
    rank: ClassVar[int] = 80

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._dialect = database.dialect
        self._connection = connection
        self._now_ms = now_ms
        self._searched = _searched.setdefault(database, _Searched())
        self._mine = False
        self._new: list[tuple[Block, Sequence[SealedEntry]]] = []

    def lock(self, operations: Sequence[Seal]) -> None:
        if self._dialect == "postgresql":
            self._mine = self._connection.execute(_try_lock).scalar_one()
        else:
            self._mine = True

    def mark(self) -> int:
        return len(self._new)

    def rewind(self, mark: int) -> None:
        del self._new[mark:]

    def admit(self, operation: Seal) -> Block | None:
        if not self._mine or self._new:
            return None
        ids = self._unsealed(operation.limit)
        if not ids:
            return None
        members = read_entries(self._connection, self._dialect, ids)
        head = self._connection.execute(_head).first()
        number, previous = (head.id + 1, head.hash) if head else (1, FIRST_PREVIOUS)
        # The moments of blocks never run backwards, whatever the clock did: C6 searches by them.
        sealed_at = max(self._now_ms, head.sealed_at if head else 0)
        block = Block(
            id=number,
            previous=previous,
            hash=block_hash(number, previous, sealed_at, len(members), members),
            count=len(members),
            sealed_at=sealed_at,
        )
        self._new.append((block, members))
        return block

    def flush(self) -> Sequence[Due]:
        for block, members in self._new:
            self._connection.execute(
                _insert_block,
                {
                    "id": block.id,
                    "previous": block.previous,
                    "hash": block.hash,
                    "count": block.count,
                    "sealed_at": block.sealed_at,
                },
            )
            self._connection.execute(
                _insert_members,
                [{"entry_id": entry.id, "block_id": block.id} for entry in members],
            )
        return ()

    def _unsealed(self, limit: int) -> list[int]:
        """Ids of the oldest entries that are in no block. Moves the floor on what is *read*, as
        our own block may still be rolled back."""
        known = self._searched
        # In this order: whoever took an id by now had locked accounts before, which gave its
        # transaction a number below the horizon that is read next.
        last = self._connection.execute(_last_id[self._dialect]).scalar_one()
        oldest = horizon = 0
        if self._dialect == "postgresql":
            oldest, horizon = self._connection.execute(_horizon).one()
        rows = self._connection.execute(_unsealed, {"floor": known.floor, "limit": limit})
        ids = [row.id for row in rows]
        if known.horizon > horizon:  # another server under the same address
            known.floor = known.last = known.horizon = 0
        elif oldest >= known.horizon:
            known.floor = max(known.floor, min([known.last, *(first - 1 for first in ids[:1])]))
            known.last, known.horizon = last, horizon
        return ids


Seal.batch = SealBatch


def read_entries(connection: Connection, dialect: str, ids: Sequence[int]) -> list[SealedEntry]:
    """The entries with these ids and their legs, by id."""
    wanted = {"ids": any_values(dialect, ids)}
    by_entry: dict[int, list[SealedLeg]] = {}
    for row in connection.execute(_legs_statement(dialect), wanted):
        by_entry.setdefault(row.entry_id, []).append(_leg(row))
    return [
        _entry(row, by_entry.get(row.id, ()))
        for row in connection.execute(_entries_statement(dialect), wanted)
    ]


def _entry(row: Row[Any], its_legs: Iterable[SealedLeg]) -> SealedEntry:
    return SealedEntry(
        row.id, row.reference, row.kind, row.subject, row.recorded_at, tuple(its_legs)
    )


def _leg(row: Row[Any]) -> SealedLeg:
    return SealedLeg(row.path, row.side, row.amount, row.number, row.balance_after)


_try_lock = select(func.pg_try_advisory_xact_lock(_SEAL_LOCK))
_head = select(blocks).order_by(blocks.c.id.desc()).limit(1)
_unsealed = (
    select(entries.c.id)
    .where(
        entries.c.id > bindparam("floor"),
        ~exists().where(block_entries.c.entry_id == entries.c.id),
    )
    .order_by(entries.c.id)
    .limit(bindparam("limit"))
)
_insert_block = insert(blocks)
_insert_members = insert(block_entries)
_horizon = text(
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, "
    "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
)
_last_id: dict[str, Select[Any]] = {
    # A counter that was never asked already shows its first number.
    "postgresql": select(text("CASE WHEN is_called THEN last_value ELSE 0 END")).select_from(
        text(ENTRY_COUNTER)
    ),
    "sqlite": select(func.coalesce(func.max(entries.c.id), 0)),
}
_statements: dict[tuple[str, str], Select[Any]] = {}


def _legs_statement(dialect: str) -> Select[Any]:
    key = ("legs", dialect)
    if key not in _statements:
        _statements[key] = (
            select(
                legs.c.entry_id,
                accounts.c.path,
                legs.c.side,
                legs.c.amount,
                legs.c.number,
                legs.c.balance_after,
            )
            .join(accounts, accounts.c.id == legs.c.account_id)
            .where(any_of(dialect, legs.c.entry_id, "ids"))
            .order_by(legs.c.entry_id, legs.c.place)
        )
    return _statements[key]


def _entries_statement(dialect: str) -> Select[Any]:
    key = ("entries", dialect)
    if key not in _statements:
        _statements[key] = (
            select(
                entries.c.id,
                entries.c.reference,
                entries.c.kind,
                entries.c.subject,
                entries.c.recorded_at,
            )
            .where(any_of(dialect, entries.c.id, "ids"))
            .order_by(entries.c.id)
        )
    return _statements[key]
