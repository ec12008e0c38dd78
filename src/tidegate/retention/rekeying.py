"""The verb of a change of ``DATA_KEY``: everything under the current key, in small commits.

It runs beside the node. What is written meanwhile is under the key of the process that writes it,
so every process is restarted with the new key first. It can be killed at any moment; what is left
is found by the next run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)

from tidegate.db.cipher import KEY_ID_LENGTH, PREFIX, Cipher, encrypted_columns
from tidegate.db.committer import Committer, Unit
from tidegate.db.data_keys import known_keys
from tidegate.db.engine import Database
from tidegate.retention.rekey import ENCRYPTED_TABLES, ForgetKeys, Rekey

__all__ = ["PLAIN", "KeyUse", "RekeyAll", "RekeyRun", "read_key_use"]

_BATCH = 200

PLAIN = ""
"""In place of a key's id: not encrypted."""

KeyUse = dict[str, int]
"""How many values are under which key."""


@dataclass(slots=True)
class RekeyRun:
    """What a run did, by table, and how it stands afterwards."""

    values: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    forgotten: list[str] = field(default_factory=list)
    use: KeyUse = field(default_factory=dict)


def read_key_use(connection: Connection) -> KeyUse:
    """Count every value of every encrypted column by its key; reads the tables whole."""
    use: KeyUse = {}
    for table in ENCRYPTED_TABLES:
        for column in encrypted_columns(table):
            key = case(
                (_part(column, 1, len(PREFIX)) == _literal(column, PREFIX), _key_part(column)),
                else_=_literal(column, PLAIN),
            ).label("key")
            counted = select(key, func.count()).where(_is_full(column)).group_by("key")
            for found, count in connection.execute(counted):
                key_id = bytes(found).decode("latin-1") if _is_bytes(column) else found
                use[key_id] = use.get(key_id, 0) + count
    return use


class RekeyAll:
    """One instance a run."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        on_progress: Callable[[str, int], object] = lambda table, values: None,
    ) -> None:
        self._database = database
        self._committer = committer
        self._on_progress = on_progress

    async def __call__(self) -> RekeyRun:
        run = RekeyRun()
        for table in ENCRYPTED_TABLES:
            run.values[table.name] = 0
            page, after = _page(table, self._database.cipher), ""
            while ids := await self._next(page, after):
                (answer,) = await self._committer.commit(Unit([Rekey(table, ids)]))
                run.values[table.name] += answer.values
                run.unreadable += answer.unreadable
                self._on_progress(table.name, run.values[table.name])
                after = ids[-1]
        run.use, known = await self._database.read(lambda c: (read_key_use(c), known_keys(c)))
        run.forgotten = sorted(known - run.use.keys() - {self._database.cipher.current_id})
        if run.forgotten:
            await self._committer.commit(Unit([ForgetKeys(tuple(run.forgotten))]))
        return run

    async def _next(self, page: Any, after: str) -> tuple[str, ...]:
        asked = {"_after": after}
        return await self._database.read(lambda c: tuple(c.execute(page, asked).scalars()))


def _page(table: Any, cipher: Cipher) -> Any:
    """The next ids of rows in which something is not as it would be written today."""
    if cipher.current_id is None:
        unsettled = [
            _part(column, 1, len(PREFIX)) == _literal(column, PREFIX)
            for column in encrypted_columns(table)
        ]
    else:
        beginning = f"{PREFIX}{cipher.current_id}:"
        unsettled = [
            and_(
                _is_full(column),
                _part(column, 1, len(beginning)) != _literal(column, beginning),
            )
            for column in encrypted_columns(table)
        ]
    return (
        select(table.c.id)
        .where(or_(*unsettled), table.c.id > bindparam("_after"))
        .order_by(table.c.id)
        .limit(_BATCH)
    )


def _is_bytes(column: Column[Any]) -> bool:
    return isinstance(column.type, LargeBinary)


def _is_full(column: Column[Any]) -> ColumnElement[bool]:
    """Is there anything to be encrypted?"""
    if isinstance(column.type, JSON):
        return cast(column, Text).not_in(("{}", "null"))
    return func.length(column) > 0


def _key_part(column: Column[Any]) -> ColumnElement[Any]:
    return _part(column, len(PREFIX) + 1, KEY_ID_LENGTH)


def _part(column: Column[Any], first: int, length: int) -> ColumnElement[Any]:
    if isinstance(column.type, JSON):
        # A JSON text begins with a quotation mark.
        return func.substr(cast(column, Text), first + 1, length)
    return func.substr(column, first, length, type_=column.type)


def _literal(column: Column[Any], text: str) -> ColumnElement[Any]:
    return literal(text.encode(), LargeBinary) if _is_bytes(column) else literal(text, Text)
