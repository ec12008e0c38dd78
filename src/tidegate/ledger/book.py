"""The book: records entries, many at a time.

:class:`Record` is an operation of the committer, so an entry is written in the transaction of
the state change that caused it. All entries of a group are judged one after the other on locked
balances; floors bind each, and one refused entry refuses only its own unit. Balances of a hot
account are then written once for the whole group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, Executable, Integer, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from tidegate.db.bulk import insert_rows, update_rows
from tidegate.db.committer import Batch, Due
from tidegate.db.engine import Database, any_of, any_values
from tidegate.errors import AlreadyExists, FloorBroken
from tidegate.ledger.chart import account_kind, currency_of
from tidegate.ledger.entry import Entry
from tidegate.ledger.tables import accounts, entries, legs

__all__ = ["ENTRY_COUNTER", "Record", "RecordBatch"]

ENTRY_COUNTER = "entry_ids"


@dataclass(frozen=True, slots=True)
class Record:
    """Record one entry.

    Raises ``FloorBroken`` when an account with a floor does not cover it and ``AlreadyExists``
    when the book has its reference.
    """

    batch: ClassVar[type[Batch]]
    entry: Entry


@dataclass(slots=True)
class _Account:
    id: int
    path: str
    grows_by: str
    floor: bool
    balance: int
    legs: int


class RecordBatch:
    """All entries of a group."""

    rank: ClassVar[int] = 30

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._dialect = database.dialect
        self._connection = connection
        self._now_ms = now_ms
        self._accounts: dict[str, _Account] = {}
        self._known: set[str] = set()
        self._entries: list[Entry] = []
        self._legs: list[dict[str, Any]] = []

    def lock(self, operations: Sequence[Record]) -> None:
        references = sorted({operation.entry.reference for operation in operations})
        known = self._connection.execute(
            _known_statement(self._dialect), {"references": any_values(self._dialect, references)}
        )
        self._known = {row.reference for row in known}
        paths = sorted({leg.account for operation in operations for leg in operation.entry.legs})
        self._load(paths)
        if missing := [path for path in paths if path not in self._accounts]:
            self._open(missing)
            self._load(missing)

    def mark(self) -> tuple[int, int, dict[str, tuple[int, int]]]:
        # Few accounts are in a group (a PSP has a handful), so a copy is the cheapest undo.
        standing = {
            path: (account.balance, account.legs) for path, account in self._accounts.items()
        }
        return len(self._entries), len(self._legs), standing

    def rewind(self, mark: tuple[int, int, dict[str, tuple[int, int]]]) -> None:
        entry_count, leg_count, standing = mark
        for entry in self._entries[entry_count:]:
            self._known.discard(entry.reference)
        del self._entries[entry_count:]
        del self._legs[leg_count:]
        for path, (balance, number) in standing.items():
            self._accounts[path].balance, self._accounts[path].legs = balance, number

    def admit(self, operation: Record) -> None:
        entry = operation.entry
        if entry.reference in self._known:
            raise AlreadyExists(f"The book has an entry {entry.reference}.")
        for place, leg in enumerate(entry.legs):
            account = self._accounts[leg.account]
            account.balance += leg.amount if leg.side == account.grows_by else -leg.amount
            account.legs += 1
            self._legs.append(
                {
                    "entry_id": len(self._entries),
                    "place": place,
                    "account_id": account.id,
                    "side": leg.side.value,
                    "amount": leg.amount,
                    "number": account.legs,
                    "balance_after": account.balance,
                }
            )
        # The floor binds the entry as a whole: an account may be touched by two of its legs.
        for leg in entry.legs:
            account = self._accounts[leg.account]
            if account.floor and account.balance < 0:
                raise FloorBroken(f"{account.path} would be at {account.balance}.")
        self._known.add(entry.reference)
        self._entries.append(entry)

    def flush(self) -> Sequence[Due]:
        if not self._entries:
            return ()
        ids = _next_ids(self._dialect, self._connection, len(self._entries))
        insert_rows(
            self._connection,
            entries,
            [
                {
                    "id": entry_id,
                    "reference": entry.reference,
                    "kind": entry.kind,
                    "subject": entry.subject,
                    "recorded_at": self._now_ms,
                }
                for entry_id, entry in zip(ids, self._entries, strict=True)
            ],
        )
        for leg in self._legs:
            leg["entry_id"] = ids[leg["entry_id"]]
        insert_rows(self._connection, legs, self._legs)
        touched = {leg["account_id"] for leg in self._legs}
        update_rows(
            self._connection,
            accounts,
            ("balance", "legs"),
            [
                (account.id, {"balance": account.balance, "legs": account.legs})
                for account in self._accounts.values()
                if account.id in touched
            ],
        )
        return ()

    def _load(self, paths: Sequence[str]) -> None:
        rows = self._connection.execute(
            _accounts_statement(self._dialect), {"paths": any_values(self._dialect, paths)}
        )
        for row in rows:
            self._accounts[row.path] = _Account(*row)

    def _open(self, paths: Sequence[str]) -> None:
        """Create accounts from the chart; another process may do the same at this moment."""
        self._connection.execute(
            _open_accounts[self._dialect], [_account_values(path) for path in paths]
        )


Record.batch = RecordBatch


def _account_values(path: str) -> Mapping[str, Any]:
    kind = account_kind(path)
    return {
        "path": path,
        "currency": currency_of(path),
        "grows_by": kind.grows_by.value,
        "floor": kind.floor,
        "balance": 0,
        "legs": 0,
    }


def _next_ids(dialect: str, connection: Connection, count: int) -> list[int]:
    """``count`` new entry ids, rising. Taken while the accounts are locked."""
    if dialect == "postgresql":
        return sorted(row[0] for row in connection.execute(_take_from_counter, {"count": count}))
    last = connection.execute(_last_id).scalar_one()
    return list(range(last + 1, last + 1 + count))


_open_accounts: Mapping[str, Executable] = {
    "postgresql": postgresql.insert(accounts).on_conflict_do_nothing(index_elements=["path"]),
    "sqlite": sqlite.insert(accounts).on_conflict_do_nothing(index_elements=["path"]),
}
_take_from_counter = select(func.nextval(ENTRY_COUNTER)).select_from(
    func.generate_series(1, bindparam("count", type_=Integer())).alias("places")
)
_last_id = select(func.coalesce(func.max(entries.c.id), 0))
_statements: dict[tuple[str, str], Any] = {}


def _known_statement(dialect: str) -> Any:
    key = ("known", dialect)
    if key not in _statements:
        _statements[key] = select(entries.c.reference).where(
            any_of(dialect, entries.c.reference, "references")
        )
    return _statements[key]


def _accounts_statement(dialect: str) -> Any:
    key = ("accounts", dialect)
    if key not in _statements:
        columns = (getattr(accounts.c, name) for name in _Account.__dataclass_fields__)
        _statements[key] = (
            select(*columns)
            .where(any_of(dialect, accounts.c.path, "paths"))
            .order_by(accounts.c.id)
            .with_for_update()
        )
    return _statements[key]
