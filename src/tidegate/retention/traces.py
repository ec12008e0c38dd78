"""What is kept about several subjects at once, overwritten: exchanges, events kept, cases' data."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, update

from tidegate.cases.tables import cases
from tidegate.db.exchanges import exchanges
from tidegate.db.inbox import ids_naming, inbox

__all__ = ["erase_traces"]

_PAGE = 500


def erase_traces(
    connection: Connection,
    subjects: Collection[str],
    names: Collection[str],
    sources: Collection[str],
    since_ms: int,
) -> dict[str, int]:
    """Empty the exchanges and closed cases about ``subjects``, and the bodies of webhooks of
    ``sources`` that name one of ``names``. Rows touched, by table."""
    touched = {"exchanges": 0, "cases": 0, "inbox": 0}
    for some in _pages(subjects):
        touched["exchanges"] += connection.execute(
            update(exchanges)
            .where(exchanges.c.subject.in_(some))
            .values(path="", request="", response="")
        ).rowcount
        touched["cases"] += connection.execute(
            update(cases).where(cases.c.subject.in_(some)).values(data={}, closing_note=None)
        ).rowcount
    for some in _pages(names):
        for ids in _pages(ids_naming(connection, sources, since_ms, some)):
            touched["inbox"] += connection.execute(
                update(inbox).where(inbox.c.id.in_(ids)).values(body=b"", about=None)
            ).rowcount
    return touched


def _pages(values: Collection[str]) -> list[list[str]]:
    ordered = sorted(values)
    return [ordered[at : at + _PAGE] for at in range(0, len(ordered), _PAGE)]
