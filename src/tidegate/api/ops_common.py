"""What the operators' routes share: how a write is committed, and how rows are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from tidegate.api.deps import deps
from tidegate.clock import rfc3339
from tidegate.db.committer import Unit
from tidegate.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidToken,
    NotAuthenticated,
    NotFound,
    Stale,
    TidegateError,
    TooManyRequests,
    UnreadableBody,
    UnsupportedMediaType,
    ValidationFailed,
)

__all__ = ["ACT", "LIST", "ORIGIN", "SHOW", "act", "due_of", "instant"]

ORIGIN: Final = "api"
"""Where an action came from, in the operators' log."""

Row = Mapping[str, Any]

LIST: Final[tuple[type[TidegateError], ...]] = (
    NotAuthenticated,
    InvalidToken,
    Forbidden,
    ValidationFailed,
)
SHOW: Final[tuple[type[TidegateError], ...]] = (*LIST, NotFound)
ACT: Final[tuple[type[TidegateError], ...]] = (
    *SHOW,
    Conflict,
    UnreadableBody,
    UnsupportedMediaType,
    TooManyRequests,
)


async def act(request: Request, unit: Unit) -> None:
    """Commit an operator's unit. Raises ``Conflict`` when the rows changed since they were read."""
    try:
        await deps(request).app.committer.commit(unit)
    except (Stale, AlreadyExists):
        raise Conflict("It was changed by somebody else meanwhile: look again.") from None


def instant(at_ms: int | None) -> str | None:
    """RFC 3339 in UTC; ``None`` for no instant."""
    return None if at_ms is None else rfc3339(at_ms)


def due_of(row: Row) -> dict[str, Any] | None:
    """What is due on a row of the queue."""
    return None if row["due_at"] is None else {"kind": row["kind"], "at": rfc3339(row["due_at"])}
