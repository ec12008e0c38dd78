"""What the operators' routes share: how a write is committed, and how rows are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

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

__all__ = ["ACT", "LIST", "ORIGIN", "SHOW", "act", "due_of", "instant", "lines_of", "steps_of"]

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


class _Step(Protocol):
    """A step of either product's ``waiting``."""

    @property
    def row(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def at(self) -> int: ...
    @property
    def now(self) -> bool: ...
    @property
    def late_ms(self) -> int: ...
    @property
    def tries(self) -> int: ...


class _Line(Protocol):
    """A line of either product's story."""

    @property
    def at(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


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


def steps_of(steps: Iterable[_Step]) -> list[dict[str, Any]]:
    """Steps as they are shown."""
    return [
        {
            "what": step.what,
            "kind": step.kind,
            "row": step.row,
            "at": rfc3339(step.at),
            "now": step.now,
            "late_ms": step.late_ms,
            "tries": step.tries,
        }
        for step in steps
    ]


def lines_of(lines: Sequence[_Line]) -> list[dict[str, Any]]:
    """A story as it is shown."""
    return [
        {"at": rfc3339(line.at), "kind": line.kind, "what": line.what, "data": dict(line.data)}
        for line in lines
    ]
