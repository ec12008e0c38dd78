"""The keys that values of this database are encrypted under: their ids, never the keys.

A key is written down in the transaction of the first value that it encrypts, and taken out when
``tidegate data rekey`` has found none left. A process that is not given all of them does not
start: it would meet its orders, and could not read them.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Column, Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from tidegate.db.base import Id, Millis, metadata
from tidegate.db.cipher import Cipher
from tidegate.errors import ConfigurationError

__all__ = ["check_keys", "data_keys", "forget_keys", "known_keys", "missing_keys", "note_key"]

data_keys = Table(
    "data_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("first_used_at", Millis, nullable=False),
)

# A key may be taken out of the list while a forgotten process still writes under it.
_LOOK_AGAIN_MS = 10_000

_known = select(data_keys.c.id)
_insert = {
    "postgresql": postgresql.insert(data_keys).on_conflict_do_nothing(index_elements=["id"]),
    "sqlite": sqlite.insert(data_keys).on_conflict_do_nothing(index_elements=["id"]),
}


def known_keys(connection: Connection) -> frozenset[str]:
    """The ids of all keys that values may be encrypted under."""
    return frozenset(connection.execute(_known).scalars())


def note_key(connection: Connection, cipher: Cipher, now_ms: int) -> None:
    """Have the current key written down before, or with, what it encrypts."""
    if cipher.current_id is None:
        return
    if cipher.noted_ms is not None and 0 <= now_ms - cipher.noted_ms < _LOOK_AGAIN_MS:
        return
    if cipher.current_id in known_keys(connection):
        # Committed by an earlier transaction; our own insert could still be rolled back.
        cipher.noted_ms = now_ms
        return
    values = {"id": cipher.current_id, "first_used_at": now_ms}
    connection.execute(_insert[connection.dialect.name], values)


def forget_keys(connection: Connection, ids: Collection[str]) -> None:
    """Nothing is encrypted under these any more."""
    connection.execute(delete(data_keys).where(data_keys.c.id.in_(sorted(ids))))


def missing_keys(connection: Connection, cipher: Cipher) -> list[str]:
    """Keys that the database needs and nobody gave."""
    return sorted(known_keys(connection) - cipher.ids)


def check_keys(connection: Connection, cipher: Cipher) -> None:
    """Raises ``ConfigurationError`` when a key is missing."""
    missing = missing_keys(connection, cipher)
    if missing:
        raise ConfigurationError(
            [
                "DATA_KEY does not open what this database holds: values are encrypted under "
                f"the key {key}, and neither DATA_KEY nor DATA_KEY_PREVIOUS is that one. Set one "
                "of them to it; `tidegate data rekey` then brings everything under DATA_KEY."
                for key in missing
            ]
        )
