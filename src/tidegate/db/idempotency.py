"""Idempotency keys of the payment API (payments.md, "Idempotency").

One row a user, route and key. ``subject`` is the row that the request made or changed; the answer
is stored by the commit that ends the request's work, whoever does that work.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import Column, Index, Integer, String, Table

from tidegate.db.base import Id, Json, Millis, Word, metadata

__all__ = ["fingerprint_of", "idempotency_keys", "key_id"]

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, nullable=False),
    Column("route", String(128), nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("subject", Id, nullable=False),
    Column("created_at", Millis, nullable=False),
    # The stored answer: HTTP status, the error's code where it is one, and the object.
    Column("status", Integer, nullable=True),
    Column("code", Word, nullable=True),
    Column("body", Json, nullable=True),
    Index("ix_idempotency_keys_subject", "subject"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)


def key_id(user_id: str, route: str, key: str) -> str:
    """The row's id: the same for the same user, route and key, and for nothing else."""
    parts = json.dumps([user_id, route, key])
    return f"idk_{hashlib.sha256(parts.encode()).hexdigest()[:60]}"


def fingerprint_of(method: str, path: str, body: Any) -> str:
    """SHA-256 (hex) of method, path and the parsed body in canonical form.

    Member order and blanks in the body make no difference; everything else does.
    """
    canonical = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
