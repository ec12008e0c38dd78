"""Readings of the book: trial balance, balances, statements, the past, export (C5, C6).

All are functions of a connection inside one :meth:`Database.read`. Amounts are integer minor
units; a balance counts in the direction that grows its account. Entries of one account commit in
the order of their ids and are sealed in that order too, so what an account was at an entry or
a block is always the balance after one of its legs, found by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from tidegate.db.engine import any_of, any_values
from tidegate.errors import NotFound
from tidegate.ledger.chart import Side
from tidegate.ledger.tables import accounts, block_entries, blocks, entries, legs

__all__ = [
    "AsOf",
    "Balance",
    "Line",
    "TrialBalance",
    "balance_as_of",
    "balance_at",
    "balances",
    "statement",
    "trial_balance",
]


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds. ``legs`` is how many legs it has."""

    path: str
    currency: str
    grows_by: Side
    balance: int
    legs: int

    @property
    def debit(self) -> int:
        """What stands in the debit column of a trial balance, never negative."""
        return max(0, self.balance if self.grows_by is Side.DEBIT else -self.balance)

    @property
    def credit(self) -> int:
        """What stands in the credit column of a trial balance, never negative."""
        return max(0, self.balance if self.grows_by is Side.CREDIT else -self.balance)


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Every account by path, and per currency the sums (debits, credits), which must be equal."""

    lines: tuple[Balance, ...]
    totals: dict[str, tuple[int, int]]

    @property
    def balanced(self) -> bool:
        return all(debits == credits for debits, credits in self.totals.values())


@dataclass(frozen=True, slots=True)
class Line:
    """One leg of an account's statement. ``recorded_at`` is Unix milliseconds."""

    number: int
    entry_id: int
    reference: str
    kind: str
    subject: str
    recorded_at: int
    side: Side
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class AsOf:
    """A balance of the past: after leg ``number`` (0: before the first) of ``path``.

    ``block_id`` is the block it was asked for, or the last one sealed before the moment it was
    asked for; ``tail`` counts the legs that came after that block.
    """

    path: str
    balance: int
    number: int
    block_id: int | None = None
    tail: int = 0


def trial_balance(connection: Connection) -> TrialBalance:
    """All accounts and the sums of their sides per currency."""
    lines = tuple(balances(connection))
    totals: dict[str, tuple[int, int]] = {}
    for line in lines:
        debits, credits = totals.get(line.currency, (0, 0))
        totals[line.currency] = (debits + line.debit, credits + line.credit)
    return TrialBalance(lines, totals)


def balances(
    connection: Connection, paths: Sequence[str] | None = None, *, prefix: str = ""
) -> list[Balance]:
    """Balances by path: of ``paths``, or of all accounts below ``prefix``.

    A prefix is whole parts of a path (``psp:lenco``). An account that was never used is in no
    answer: its balance is zero.
    """
    wanted = select(
        accounts.c.path,
        accounts.c.currency,
        accounts.c.grows_by,
        accounts.c.balance,
        accounts.c.legs,
    ).order_by(accounts.c.path)
    parameters: dict[str, object] = {}
    if paths is not None:
        dialect = connection.dialect.name
        wanted = wanted.where(any_of(dialect, accounts.c.path, "paths"))
        parameters["paths"] = any_values(dialect, paths)
    if prefix:
        wanted = wanted.where(accounts.c.path.startswith(f"{prefix}:", autoescape=True))
    rows = connection.execute(wanted, parameters)
    found = [
        Balance(row.path, row.currency, Side(row.grows_by), row.balance, row.legs) for row in rows
    ]
    return sorted(found, key=lambda line: line.path)  # databases disagree about order of text


def statement(
    connection: Connection, path: str, after_number: int = 0, limit: int = 100
) -> list[Line]:
    """Legs of an account, oldest first, after leg ``after_number``. Raises ``NotFound``."""
    account_id, _ = _account(connection, path)
    rows = connection.execute(
        _lines, {"account_id": account_id, "after": after_number, "limit": limit}
    )
    return [Line(*row[:6], Side(row.side), row.amount, row.balance_after) for row in rows]


def balance_as_of(
    connection: Connection,
    path: str,
    *,
    entry_id: int | None = None,
    block_id: int | None = None,
) -> AsOf:
    """The balance after an entry, or after all entries of a block and those before it.

    Exactly one of the two is given. Raises ``NotFound`` for an account or block that is not.
    """
    account_id, last = _account(connection, path)
    if entry_id is not None and block_id is None:
        number = _last_where(
            last, lambda number: _read_leg(connection, account_id, number)[0] <= entry_id
        )
    elif block_id is not None and entry_id is None:
        if connection.execute(_block, {"id": block_id}).first() is None:
            raise NotFound(f"There is no block {block_id}.")
        number = _sealed_by(connection, account_id, last, block_id)
    else:
        raise ValueError("name an entry or a block")
    return AsOf(path, _balance_after(connection, account_id, number), number, block_id)


def balance_at(connection: Connection, path: str, moment_ms: int) -> AsOf:
    """The balance at a moment (Unix milliseconds): that of the last block sealed before it, and
    its tail, the legs after that block up to the first one recorded later than the moment.

    Raises ``NotFound``.
    """
    account_id, last = _account(connection, path)
    block_id: int | None = connection.execute(_block_before, {"moment": moment_ms}).scalar()
    sealed = 0 if block_id is None else _sealed_by(connection, account_id, last, block_id)
    later = connection.execute(
        _first_later, {"account_id": account_id, "after": sealed, "moment": moment_ms}
    ).scalar()
    number = last if later is None else later - 1
    balance = _balance_after(connection, account_id, number)
    return AsOf(path, balance, number, block_id, number - sealed)


def _account(connection: Connection, path: str) -> tuple[int, int]:
    row = connection.execute(_by_path, {"path": path}).first()
    if row is None:
        raise NotFound(f"The book has no account {path}.")
    return row.id, row.last


def _sealed_by(connection: Connection, account_id: int, last: int, block_id: int) -> int:
    """The number of the account's last leg that is in ``block_id`` or a block before it."""

    def sealed(number: int) -> bool:
        its_block = _read_leg(connection, account_id, number)[1]
        return its_block is not None and its_block <= block_id

    return _last_where(last, sealed)


def _last_where(last: int, holds: Callable[[int], bool]) -> int:
    """The highest number from 1 to ``last`` for which ``holds``, else 0: it holds for all
    numbers up to some point and for none after it."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _read_leg(connection: Connection, account_id: int, number: int) -> tuple[int, int | None]:
    """The entry and block of a leg."""
    row = connection.execute(_leg, {"account_id": account_id, "number": number}).one()
    return row.entry_id, row.block_id


def _balance_after(connection: Connection, account_id: int, number: int) -> int:
    if number == 0:
        return 0
    row = connection.execute(_leg, {"account_id": account_id, "number": number}).one()
    return int(row.balance_after)


_by_path = select(accounts.c.id, accounts.c.legs.label("last")).where(
    accounts.c.path == bindparam("path")
)
_lines = (
    select(
        legs.c.number,
        legs.c.entry_id,
        entries.c.reference,
        entries.c.kind,
        entries.c.subject,
        entries.c.recorded_at,
        legs.c.side,
        legs.c.amount,
        legs.c.balance_after,
    )
    .join(entries, entries.c.id == legs.c.entry_id)
    .where(legs.c.account_id == bindparam("account_id"), legs.c.number > bindparam("after"))
    .order_by(legs.c.number)
    .limit(bindparam("limit"))
)
_leg = (
    select(legs.c.entry_id, legs.c.balance_after, block_entries.c.block_id)
    .outerjoin(block_entries, block_entries.c.entry_id == legs.c.entry_id)
    .where(legs.c.account_id == bindparam("account_id"), legs.c.number == bindparam("number"))
)
_block = select(blocks.c.id).where(blocks.c.id == bindparam("id"))
_block_before = select(func.max(blocks.c.id)).where(blocks.c.sealed_at <= bindparam("moment"))
_first_later = (
    select(legs.c.number)
    .join(entries, entries.c.id == legs.c.entry_id)
    .where(
        legs.c.account_id == bindparam("account_id"),
        legs.c.number > bindparam("after"),
        entries.c.recorded_at > bindparam("moment"),
    )
    .order_by(legs.c.number)
    .limit(1)
)
