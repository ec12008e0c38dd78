"""An operation of the committer: forget a person, once nothing is under way that needs them.

What identifies a person is overwritten; amounts, references, states, times, entries and the
operators' log stay, so the books and every audit stand as before. What belongs to an order is
listed in ``erase_order``, what belongs to a user in ``erase_user``. Erasing again finds what came
in since, such as a late webhook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from sqlalchemy import Connection

from tidegate.db.committer import Batch, Due
from tidegate.db.engine import Database

__all__ = ["Erase", "Person", "scrubbed"]


class Person(Protocol):
    """Whose data it is. Both run in the transaction that erases."""

    def check(self, connection: Connection, now_ms: int) -> None:
        """Lock what it is about; raise ``Stale`` (not yet) or ``NotFound``."""
        ...

    def forget(self, connection: Connection, now_ms: int) -> Mapping[str, int]:
        """Overwrite; rows touched, by what they are."""
        ...


@dataclass(frozen=True, slots=True)
class Erase:
    """Erase one person's data. Answers the rows touched, by table, complete after the commit.

    Refused with ``Stale`` while something of theirs is under way.
    """

    batch: ClassVar[type[Batch]]
    person: Person


class EraseBatch:
    """All erasures of a group."""

    # After the rows of a user (20) and their sessions (25).
    rank: ClassVar[int] = 30

    def __init__(self, database: Database, connection: Connection, now_ms: int) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self._wanted: list[tuple[Erase, dict[str, int]]] = []

    def lock(self, operations: Sequence[Erase]) -> None:
        """Nothing: an erasure locks its rows when it is judged."""

    def mark(self) -> int:
        return len(self._wanted)

    def rewind(self, mark: int) -> None:
        del self._wanted[mark:]

    def admit(self, operation: Erase) -> dict[str, int]:
        operation.person.check(self._connection, self._now_ms)
        answer: dict[str, int] = {}
        self._wanted.append((operation, answer))
        return answer

    def flush(self) -> Sequence[Due]:
        for wanted, answer in self._wanted:
            answer.update(wanted.person.forget(self._connection, self._now_ms))
        return ()


Erase.batch = EraseBatch


def scrubbed(data: Any, empty: Mapping[str, Callable[[], Any]]) -> Any:
    """A copy of JSON in which the members of ``empty``, at any depth, have that value."""
    if isinstance(data, Mapping):
        return {
            name: empty[name]() if name in empty else scrubbed(value, empty)
            for name, value in data.items()
        }
    if isinstance(data, list):
        return [scrubbed(each, empty) for each in data]
    return data
