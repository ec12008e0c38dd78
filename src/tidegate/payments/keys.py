"""A request's idempotency key: is it new, running, answered, or another request's?"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from sqlalchemy import Connection

from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.idempotency import idempotency_keys, key_id
from tidegate.db.rows import Insert
from tidegate.errors import AlreadyExists, IdempotencyKeyReused, TidegateError
from tidegate.payments.answers import REFUSALS, Answer
from tidegate.payments.store import Row, key_by_id

__all__ = ["Asked", "refuse", "standing"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: who, the route's template, the key it came with, its fingerprint."""

    user_id: str
    route: str
    key: str
    fingerprint: str

    @property
    def id(self) -> str:
        """The key's row."""
        return key_id(self.user_id, self.route, self.key)

    def taken_for(self, subject: str, now_ms: int, answer: Answer | None = None) -> Insert:
        """The operation that takes the key for ``subject``, with its answer if that is known
        already; ``AlreadyExists`` if it is taken."""
        values: dict[str, Any] = {
            "id": self.id,
            "user_id": self.user_id,
            "route": self.route,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "subject": subject,
            "created_at": now_ms,
        }
        if answer is not None:
            values |= {"status": answer.status, "code": answer.code, "body": dict(answer.body)}
        return Insert(idempotency_keys, values, once=True)


async def refuse(
    committer: Committer, asked: Asked, subject: str, now_ms: int, error: TidegateError
) -> NoReturn:
    """Raise ``error``, which is final for this request: the same key gets it again."""
    answer = Answer(REFUSALS[type(error)], error.code, {"detail": error.detail})
    with suppress(AlreadyExists):  # the same request at the same moment
        await committer.commit(Unit([asked.taken_for(subject, now_ms, answer)]))
    raise error


async def standing(database: Database, asked: Asked) -> Row | Answer | None:
    """What became of the key: nothing yet, the row of a request without an answer so far, or the
    stored answer. Raises ``IdempotencyKeyReused``."""
    return await database.fetch(lambda c: _standing(c, asked))


def _standing(connection: Connection, asked: Asked) -> Row | Answer | None:
    row = key_by_id(connection, asked.id)
    if row is None:
        return None
    if row["fingerprint"] != asked.fingerprint:
        raise IdempotencyKeyReused()
    if row["status"] is None:
        return row
    return Answer(row["status"], row["code"], row["body"], replayed=True)
