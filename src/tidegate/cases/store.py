"""Operations on cases, and on the log of what operators did.

A case is opened in the transaction of the change that found the trouble. Whoever hands the
operation over counts and logs it: the answer says whether the case is new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sqlalchemy import Connection, Select, bindparam, insert, or_, select, text, update
from sqlalchemy import case as sql_case
from sqlalchemy.dialects import postgresql, sqlite

from tidegate.cases.tables import cases, operator_actions
from tidegate.db.committer import Batch, Due
from tidegate.db.engine import Database, any_of, any_values
from tidegate.errors import Stale

__all__ = [
    "AssignCase",
    "CaseBatch",
    "CloseCase",
    "NoteAction",
    "OpenCase",
    "OpenedCase",
    "Severity",
]

Severity = Literal["low", "medium", "high"]

_RANK: dict[str, int] = {"low": 0, "medium": 1, "high": 2}


@dataclass(frozen=True, slots=True)
class OpenCase:
    """Open a case, or see the open one of this kind and subject again.

    A case that is seen again counts it, takes the newest reason and data and the worst severity.
    Never refused. Answers :class:`OpenedCase`, complete after the commit.
    """

    batch: ClassVar[type[Batch]]
    kind: str
    subject: str
    reason: str
    severity: Severity = "medium"
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class OpenedCase:
    """``new``: it was not open before."""

    id: int = 0
    new: bool = False


@dataclass(frozen=True, slots=True)
class AssignCase:
    """Give an open case an owner (``None``: nobody). Raises ``Stale`` when it is not open."""

    batch: ClassVar[type[Batch]]
    id: int
    owner: str | None


@dataclass(frozen=True, slots=True)
class CloseCase:
    """Close an open case. Raises ``Stale`` when it is not open."""

    batch: ClassVar[type[Batch]]
    id: int
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class NoteAction:
    """Write down what an operator did: part of the unit that does it.

    ``subject`` is the row acted on; ``before`` and ``after`` hold the columns that changed, with
    no personal data. ``reason`` is the operator's own sentence.
    """

    batch: ClassVar[type[Batch]]
    actor: str
    origin: str
    action: str
    subject: str
    reason: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


_Operation = OpenCase | AssignCase | CloseCase | NoteAction
_CHANGED = (
    "state",
    "severity",
    "reason",
    "owner",
    "data",
    "last_seen_at",
    "times",
    "closed_at",
    "closed_by",
    "closing_note",
)


class CaseBatch:
    """All operations on cases of a group, on working copies of the open ones."""

    rank: ClassVar[int] = 10

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._dialect = database.dialect
        self._connection = connection
        self._now_ms = now_ms
        self._open: dict[tuple[str, str], dict[str, Any]] = {}
        self._by_id: dict[int, dict[str, Any]] = {}
        self._new: dict[tuple[str, str], dict[str, Any]] = {}
        self._answers: list[tuple[OpenedCase, dict[str, Any]]] = []
        self._actions: list[dict[str, Any]] = []
        self._undo: list[Callable[[], object]] = []

    def lock(self, operations: Sequence[_Operation]) -> None:
        subjects = {each.subject for each in operations if isinstance(each, OpenCase)}
        ids = {each.id for each in operations if isinstance(each, AssignCase | CloseCase)}
        if not subjects and not ids:
            return
        rows = self._connection.execute(
            _lock_statement(self._dialect),
            {
                "subjects": any_values(self._dialect, sorted(subjects)),
                "ids": any_values(self._dialect, sorted(ids)),
            },
        )
        for row in rows.mappings():
            case = {**row, "_changed": False}
            self._open[row["kind"], row["subject"]] = case
            self._by_id[row["id"]] = case

    def mark(self) -> tuple[int, int, int]:
        return len(self._undo), len(self._answers), len(self._actions)

    def rewind(self, mark: tuple[int, int, int]) -> None:
        undone, answers, actions = mark
        while len(self._undo) > undone:
            self._undo.pop()()
        del self._answers[answers:]
        del self._actions[actions:]

    def admit(self, operation: _Operation) -> OpenedCase | None:
        match operation:
            case OpenCase():
                return self._see(operation)
            case AssignCase():
                self._change(self._standing(operation.id), owner=operation.owner)
            case CloseCase():
                self._close(operation)
            case NoteAction():
                self._actions.append(
                    {
                        "at": self._now_ms,
                        "actor": operation.actor,
                        "origin": operation.origin,
                        "action": operation.action,
                        "subject": operation.subject,
                        "reason": operation.reason,
                        "before": _plain(operation.before),
                        "after": _plain(operation.after),
                    }
                )
        return None

    def flush(self) -> Sequence[Due]:
        # Closed before opened: the index allows one open case of a kind and subject.
        changed = sorted(
            (case for case in self._by_id.values() if case["_changed"]),
            key=lambda case: (case["state"] == "open", case["id"]),
        )
        if changed:
            self._connection.execute(
                _update_case,
                [
                    {"_id": case["id"], **{column: case[column] for column in _CHANGED}}
                    for case in changed
                ],
            )
        if self._new:
            self._insert()
        if self._actions:
            self._connection.execute(_insert_actions, self._actions)
        for answer, case in self._answers:
            answer.id, answer.new = case["id"], answer.new and case["times_before"] == 0
        return ()

    def _see(self, operation: OpenCase) -> OpenedCase:
        key = (operation.kind, operation.subject)
        answer = OpenedCase(new=key not in self._open)
        standing = self._open.get(key)
        if standing is None:
            standing = {
                "kind": operation.kind,
                "subject": operation.subject,
                "state": "open",
                "severity": operation.severity,
                "reason": operation.reason,
                "data": dict(operation.data),
                "opened_at": self._now_ms,
                "last_seen_at": self._now_ms,
                "times": 1,
            }
            self._open[key] = self._new[key] = standing
            self._undo.append(lambda: (self._open.pop(key), self._new.pop(key)))
        else:
            self._change(
                standing,
                severity=max(standing["severity"], operation.severity, key=_RANK.__getitem__),
                reason=operation.reason,
                data=dict(operation.data),
                last_seen_at=self._now_ms,
                times=standing["times"] + 1,
            )
        self._answers.append((answer, standing))
        return answer

    def _close(self, operation: CloseCase) -> None:
        case = self._standing(operation.id)
        self._change(
            case,
            state="closed",
            closed_at=self._now_ms,
            closed_by=operation.by,
            closing_note=operation.note,
        )
        key = (case["kind"], case["subject"])
        del self._open[key]
        self._undo.append(lambda: self._open.update({key: case}))

    def _standing(self, case_id: int) -> dict[str, Any]:
        case = self._by_id.get(case_id)
        if case is None or case["state"] != "open":
            raise Stale(f"There is no open case {case_id}.")
        return case

    def _change(self, case: dict[str, Any], **values: Any) -> None:
        before = dict(case)
        case.update(values, _changed=True)
        self._undo.append(lambda: case.update(before))

    def _insert(self) -> None:
        """Insert what was not open when we looked; another process may have opened it since."""
        for key in sorted(self._new):
            case = self._new[key]
            values = {name: value for name, value in case.items() if name != "_changed"}
            row = self._connection.execute(_upsert[self._dialect], values).one()
            case["id"], case["times_before"] = row.id, row.times - case["times"]


OpenCase.batch = CaseBatch
AssignCase.batch = CaseBatch
CloseCase.batch = CaseBatch
NoteAction.batch = CaseBatch


def _plain(columns: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if columns is None else dict(columns)


def _upsert_statement(insert_into: Callable[..., Any]) -> Any:
    opening = insert_into(cases)
    offered = opening.excluded
    worst = sql_case(
        (or_(cases.c.severity == "high", offered.severity == "high"), "high"),
        (or_(cases.c.severity == "medium", offered.severity == "medium"), "medium"),
        else_="low",
    )
    return opening.on_conflict_do_update(
        index_elements=[cases.c.subject, cases.c.kind],
        index_where=text("state = 'open'"),
        set_={
            "times": cases.c.times + offered.times,
            "severity": worst,
            "reason": offered.reason,
            "data": offered.data,
            "last_seen_at": offered.last_seen_at,
        },
    ).returning(cases.c.id, cases.c.times)


_upsert = {
    "postgresql": _upsert_statement(postgresql.insert),
    "sqlite": _upsert_statement(sqlite.insert),
}
_update_case = update(cases).where(cases.c.id == bindparam("_id"))
_insert_actions = insert(operator_actions)
_statements: dict[str, Select[Any]] = {}


def _lock_statement(dialect: str) -> Select[Any]:
    if dialect not in _statements:
        _statements[dialect] = (
            select(cases)
            .where(
                cases.c.state == "open",
                or_(
                    any_of(dialect, cases.c.subject, "subjects"), any_of(dialect, cases.c.id, "ids")
                ),
            )
            .order_by(cases.c.id)
            .with_for_update()
        )
    return _statements[dialect]
