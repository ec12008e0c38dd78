"""What was said to other companies, one row an exchange: redacted, never a secret. Ages out."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from tidegate.clock import Randomness
from tidegate.db.base import Id, LongText, Millis, Word, metadata
from tidegate.db.cipher import ENCRYPTED
from tidegate.db.rows import Insert

__all__ = ["Exchange", "exchange_row", "exchanges"]

exchanges = Table(
    "exchanges",
    metadata,
    Column("id", Id, primary_key=True),
    Column("subject", Id, nullable=False),
    Column("at", Millis, nullable=False),
    Column("counterparty", Word, nullable=False),
    Column("verb", Word, nullable=False),
    Column("method", String(8), nullable=False),
    Column("path", LongText, nullable=False, info=ENCRYPTED),
    Column("request", LongText, nullable=False, info=ENCRYPTED),
    Column("status", Integer, nullable=True),
    Column("response", LongText, nullable=False, info=ENCRYPTED),
    Column("error", Word, nullable=True),
    Column("took_ms", BigInteger, nullable=False),
    Index("ix_exchanges_subject", "subject", "at"),
    Index("ix_exchanges_at", "at"),
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was said to whom and what came back.

    ``status`` is the HTTP status, ``None`` when no answer was read; ``error`` is then one of the
    few words of ``adapters.http`` (``not_reached``, ``unknown``). ``request`` and ``response``
    are redacted texts, cut at a few KiB. ``took_ms`` is whole milliseconds.
    """

    counterparty: str
    verb: str
    method: str
    path: str
    request: str
    status: int | None
    response: str
    error: str | None
    started_ms: int
    took_ms: int


def exchange_row(subject: str, exchange: Exchange, randomness: Randomness) -> Insert:
    """The row of one exchange about ``subject``."""
    return Insert(
        exchanges,
        {
            "id": randomness.new_id("exc"),
            "subject": subject,
            "at": exchange.started_ms,
            "counterparty": exchange.counterparty,
            "verb": exchange.verb,
            "method": exchange.method,
            "path": exchange.path,
            "request": exchange.request,
            "status": exchange.status,
            "response": exchange.response,
            "error": exchange.error,
            "took_ms": exchange.took_ms,
        },
    )
