"""What a turn is about: the same ids on its log lines and in its trace.

A table says in ``info["names"]`` which of its columns are such ids, and what they are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from structlog.contextvars import bind_contextvars, bound_contextvars

from tidegate.observability import tracing

__all__ = ["about", "turn"]


def about(*, born: bool = False, **ids: str | None) -> None:
    """From here on the turn is about the row with these ids (``order_id``, ``payout_id``,
    ``payment_id``, ...); ``born``: it is being made now."""
    given = {name: value for name, value in ids.items() if value is not None}
    bind_contextvars(**given)
    tracing.about(given, born=born)


@contextmanager
def turn(kind: str, names: Mapping[str, str], row: Mapping[str, Any]) -> Iterator[None]:
    """A claimed row is worked on: its ids are on every line that is said meanwhile."""
    ids = {name: str(row[column]) for name, column in names.items() if row[column] is not None}
    if not ids:
        with bound_contextvars(work=kind):
            yield
        return
    with bound_contextvars(work=kind, **ids), tracing.segment(kind) as segment:
        if segment is not None:
            tracing.about(ids)
            segment.tell(tries=int(row["tries"]))
        yield
