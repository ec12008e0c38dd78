"""What must hold after every commit, not only in the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from tidegate.payments.states import DISPUTE_TRANSITIONS, REFUND_TRANSITIONS
from tidegate.payments.states import TRANSITIONS as PAYMENT_TRANSITIONS
from tidegate.payouts.states import ATTEMPT_TRANSITIONS, CLOSED_ATTEMPT, TRANSITIONS

__all__ = ["Watch"]

S = TypeVar("S", bound=StrEnum)
_Stand: TypeAlias = tuple[str, str, str]

# Said here once more: what the chart says of floors is judged as well.
_BELOW = (
    "SELECT path, balance FROM accounts WHERE balance < 0 AND (path LIKE 'psp:%:available:%' "
    "OR path LIKE 'psp:%:reserved:%' OR path LIKE 'payments:refunding:%')"
)
_TWICE = (
    "SELECT payout_id FROM attempts WHERE state NOT IN (SELECT value FROM json_each(?)) "
    "GROUP BY payout_id HAVING count(*) > 1"
)
_TOO_MUCH = (
    "SELECT id FROM payments WHERE amount_refunded + amount_refunding > amount_captured "
    "OR amount_captured > amount"
)
_UNBALANCED = (
    "SELECT entry_id FROM legs l JOIN accounts a ON a.id = l.account_id WHERE entry_id > ? "
    "GROUP BY entry_id, currency HAVING sum(CASE side WHEN 'D' THEN amount ELSE -amount END) <> 0"
)
_LAST = "SELECT coalesce(max(id), 0) FROM entries"
_OPEN = "[" + ",".join(f'"{state}"' for state in sorted(CLOSED_ATTEMPT)) + "]"


class Watch:
    """Looks at the database file after each commit; :attr:`seen` is what was wrong."""

    def __init__(self, database: Path) -> None:
        self.seen: list[str] = []
        self.commits = 0
        self._connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        self._reach = {
            "payouts": _reach(TRANSITIONS),
            "attempts": _reach(ATTEMPT_TRANSITIONS),
            "payments": _reach(PAYMENT_TRANSITIONS),
            "refunds": _reach(REFUND_TRANSITIONS),
            "disputes": _reach(DISPUTE_TRANSITIONS),
        }
        self._all_states = " UNION ALL ".join(
            f"SELECT '{name}', id, state FROM {name}"  # noqa: S608 -- names of ours
            for name in self._reach
        )
        self._states: list[_Stand] = []
        self._last_entry = 0

    def look(self) -> None:
        """One commit more."""
        self.commits += 1
        self.seen.extend(self._wrong())

    def close(self) -> None:
        self._connection.close()

    def _wrong(self) -> Iterator[str]:
        read = self._connection.execute
        for path, balance in read(_BELOW):
            yield f"commit {self.commits}: {path} fell to {balance}"
        for (payout,) in read(_TWICE, (_OPEN,)):
            yield f"commit {self.commits}: payout {payout} has two attempts that stand"
        for (payment,) in read(_TOO_MUCH):
            yield f"commit {self.commits}: payment {payment} gives back more than it took"
        ((last,),) = read(_LAST)
        if last != self._last_entry:
            for (entry,) in read(_UNBALANCED, (self._last_entry,)):
                yield f"commit {self.commits}: entry {entry} does not balance"
            self._last_entry = last
        now = read(self._all_states).fetchall()
        if now != self._states:  # most commits are about periodic work
            yield from self._moves(self._states, now)
            self._states = now

    def _moves(self, before: list[_Stand], now: list[_Stand]) -> Iterator[str]:
        known = {(table, row_id): state for table, row_id, state in before}
        for table, row_id, state in now:
            was = known.get((table, row_id), state)
            if state != was and state not in self._reach[table].get(was, ()):
                yield f"commit {self.commits}: {row_id} went from {was} to {state}"


def _reach(table: Mapping[tuple[S, Any], S]) -> dict[str, set[str]]:
    """Per state what one or two rows of the table lead to: a turn may apply two."""
    once: dict[str, set[str]] = {}
    for (before, _), after in table.items():
        once.setdefault(before.value, set()).add(after.value)
    return {
        state: next_ | {far for near in next_ for far in once.get(near, ())}
        for state, next_ in once.items()
    }
