"""Columns that are kept encrypted when the settings give a key (decision 0029).

A column is marked with :data:`ENCRYPTED`. What is written into it goes through
:meth:`Cipher.encrypted`, in the one place that writes rows (``db.rows``); what is read from it is
opened where it is *used*, with :meth:`Cipher.plain`: a value that cannot be opened stops the verb
of its own row, and no claim of many rows.

AES-SIV (RFC 5297) under a key of 512 bits: no nonce that could repeat, and the place of the value
(table, column, row) is authenticated with it, so a value that is moved to another row or column
does not open. In the database it is ``encrypted:<key id>:`` and the bytes; texts and JSON hold
them as base64url. Empty values stay empty; whatever has no such beginning is plain, as it was
before there was a key.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import JSON, Column, Connection, LargeBinary, Table

from tidegate.errors import DataKeyMissing, DataUnreadable

__all__ = [
    "ENCRYPTED",
    "KEY_ID_LENGTH",
    "PREFIX",
    "Cipher",
    "cipher_of",
    "encrypted_columns",
    "key_of",
]

ENCRYPTED: Final[dict[Any, Any]] = {"encrypted": True}
"""The mark of a column (its ``info``)."""

PREFIX: Final = "encrypted:"
KEY_ID_LENGTH: Final = 8

_CLOSED: Final = "[cannot be decrypted]"

_KEY_PURPOSE: Final = b"tidegate:data:1"
_ID_PURPOSE: Final = b"tidegate:data:id:1"

_columns: dict[Table, tuple[Column[Any], ...]] = {}


def encrypted_columns(table: Table) -> tuple[Column[Any], ...]:
    """The columns of ``table`` that are kept encrypted."""
    if table not in _columns:
        _columns[table] = tuple(column for column in table.c if column.info.get("encrypted"))
    return _columns[table]


class Cipher:
    """Encrypts under ``current``; opens also what an earlier key (``previous``) encrypted.

    Both are texts with much chance in them, from which the keys are derived. Without ``current``
    everything is written plain; without any key nothing that is encrypted can be opened.
    """

    def __init__(self, current: str | None = None, previous: Iterable[str] = ()) -> None:
        self.current_id = None if current is None else _id_of(current)
        """What the values name the current key by; ``None``: there is none."""
        self.noted_ms: int | None = None
        """When the current key was last seen in the database's list of keys (``db.data_keys``)."""
        secrets = [*([] if current is None else [current]), *previous]
        self._keys = {
            _id_of(secret): AESSIV(_derived(secret, _KEY_PURPOSE, 64)) for secret in secrets
        }
        self._beginning = f"{PREFIX}{self.current_id}:"

    @property
    def ids(self) -> frozenset[str]:
        """The keys that are given."""
        return frozenset(self._keys)

    def encrypted(self, table: Table, values: Mapping[str, Any], row_id: str) -> dict[str, Any]:
        """``values`` of one row as they are to be stored; a copy."""
        stored = dict(values)
        if self.current_id is None:
            return stored
        for column in encrypted_columns(table):
            if value := stored.get(column.name):
                stored[column.name] = self._encrypt(column, row_id, value)
        if (beside := table.info.get("beside")) is not None:
            stored |= beside(values)
        return stored

    def plain(self, row: Mapping[Any, Any], column: Column[Any]) -> Any:
        """The value of ``column`` in ``row``, which has its ``id``, as it was before encryption.

        Raises ``DataKeyMissing`` when its key is not given: while a key is changed, a process that
        has it goes on with the row; and ``DataUnreadable`` when it does not open under its key.
        """
        value = row[column.name]
        key_id = key_of(value)
        if key_id is None:
            return value
        place = _place(column, row["id"])
        key = self._keys.get(key_id)
        if key is None:
            raise DataKeyMissing(
                f"{place} is encrypted under the key {key_id}, which neither DATA_KEY nor "
                "DATA_KEY_PREVIOUS is."
            )
        try:
            opened = key.decrypt(_sealed_bytes(value), [place.encode()])
        except (InvalidTag, ValueError):
            raise DataUnreadable(
                f"{place} does not open under its key {key_id}: it is damaged, or was written "
                "for another place."
            ) from None
        if isinstance(column.type, LargeBinary):
            return opened
        text = opened.decode()
        return json.loads(text) if isinstance(column.type, JSON) else text

    def shown(self, row: Mapping[Any, Any], table: Table) -> dict[str, Any]:
        """A copy of ``row``, opened for a person who looks; what does not open says so."""
        shown = dict(row)
        for column in encrypted_columns(table):
            if column.name in shown:
                try:
                    shown[column.name] = self.plain(row, column)
                except (DataKeyMissing, DataUnreadable):
                    shown[column.name] = _instead(column)
        return shown

    def shown_or_none(self, row: Mapping[Any, Any], column: Column[Any]) -> dict[str, Any]:
        """A copy of ``row`` with this one opened, or ``None`` in its place if it does not open."""
        try:
            return {**row, column.name: self.plain(row, column)}
        except DataUnreadable:
            return {**row, column.name: None}

    def is_settled(self, value: Any) -> bool:
        """Is a stored value as it would be written today?"""
        return not value or key_of(value) == self.current_id

    def _encrypt(self, column: Column[Any], row_id: str, value: Any) -> str | bytes:
        assert self.current_id is not None  # asked by the caller
        associated = [_place(column, row_id).encode()]
        key = self._keys[self.current_id]
        if isinstance(column.type, LargeBinary):
            return self._beginning.encode() + key.encrypt(bytes(value), associated)
        if isinstance(column.type, JSON):
            # In ASCII: half of a surrogate pair has no bytes, and what others write may hold one.
            value = json.dumps(value, separators=(",", ":"))
        made = key.encrypt(value.encode(), associated)
        return self._beginning + urlsafe_b64encode(made).decode()


_OFF: Final = Cipher()


def cipher_of(connection: Connection) -> Cipher:
    """The cipher of the database that ``connection`` leads to."""
    found: Cipher = connection.get_execution_options().get("cipher", _OFF)
    return found


def key_of(value: Any) -> str | None:
    """The id of the key that a stored value is encrypted under; ``None``: it is plain."""
    if isinstance(value, bytes | bytearray | memoryview):
        head = bytes(value[: len(PREFIX) + KEY_ID_LENGTH + 1])
        if not head.startswith(PREFIX.encode()):
            return None
        value = head.decode("latin-1")
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return None
    return value[len(PREFIX) :].partition(":")[0]


def _instead(column: Column[Any]) -> Any:
    if isinstance(column.type, JSON):
        return {}
    return _CLOSED.encode() if isinstance(column.type, LargeBinary) else _CLOSED


def _sealed_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return urlsafe_b64decode(value.rpartition(":")[2])
    return bytes(value)[len(PREFIX) + KEY_ID_LENGTH + 1 :]


def _place(column: Column[Any], row_id: Any) -> str:
    return f"{column.table.name}.{column.name}:{row_id}"


def _id_of(secret: str) -> str:
    return _derived(secret, _ID_PURPOSE, KEY_ID_LENGTH // 2).hex()


def _derived(secret: str, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA512(), length=length, salt=None, info=purpose).derive(secret.encode())
