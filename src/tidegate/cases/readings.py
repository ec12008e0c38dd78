"""Readings of cases and of the operators' log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection, func, select

from tidegate.cases.tables import cases, operator_actions

__all__ = ["actions_on", "list_cases", "open_cases", "show_case"]

Row = Mapping[str, Any]


def list_cases(
    connection: Connection,
    *,
    state: Literal["open", "closed"] | None = "open",
    kind: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[Row]:
    """Cases, newest first; ``before_id`` goes on after a page. All columns."""
    wanted = select(cases).order_by(cases.c.id.desc()).limit(limit)
    if state is not None:
        wanted = wanted.where(cases.c.state == state)
    if kind is not None:
        wanted = wanted.where(cases.c.kind == kind)
    if before_id is not None:
        wanted = wanted.where(cases.c.id < before_id)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def show_case(connection: Connection, case_id: int) -> Row | None:
    """One case, all columns."""
    row = connection.execute(select(cases).where(cases.c.id == case_id)).mappings().one_or_none()
    return None if row is None else dict(row)


def open_cases(connection: Connection) -> dict[tuple[str, str], int]:
    """How many cases are open, by (kind, severity)."""
    counted = (
        select(cases.c.kind, cases.c.severity, func.count())
        .where(cases.c.state == "open")
        .group_by(cases.c.kind, cases.c.severity)
    )
    return {(kind, severity): count for kind, severity, count in connection.execute(counted)}


def actions_on(connection: Connection, subject: str) -> list[Row]:
    """What operators did to ``subject``, first to last."""
    wanted = (
        select(operator_actions)
        .where(operator_actions.c.subject == subject)
        .order_by(operator_actions.c.id)
    )
    return [dict(row) for row in connection.execute(wanted).mappings()]
