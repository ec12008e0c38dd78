"""Lists by cursor (B14): the page after a row, found by its id.

Ids sort by time, so ``id < after`` with ``ORDER BY id DESC`` reads on where the last page ended,
whatever was added meanwhile. A cursor is opaque to callers: URL-safe base64 of a small JSON array,
``[version, list, id, check]``. The check tells a damaged cursor, not a forged one: what somebody
may see is decided by the condition of the query, never by a cursor.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Annotated, Any, Final, Generic, NoReturn, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from tidegate.errors import ValidationFailed

__all__ = ["LIMIT_MAX", "Cursor", "Limit", "Page", "cut", "decode_cursor", "encode_cursor"]

LIMIT_MAX: Final = 100

_VERSION = 1
_ID = re.compile(r"[a-z]{2,8}_[0-9a-z]{1,40}")

Item = TypeVar("Item")
Row = TypeVar("Row")

Limit = Annotated[
    int, Query(ge=1, le=LIMIT_MAX, description="How many rows to return.", examples=[20])
]
"""The parameter ``limit``; give it the default 20."""

Cursor = Annotated[
    str | None,
    Query(
        max_length=200,
        description="`next_cursor` of the page before; leave it out at first.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
    ),
]
"""The parameter ``cursor``; give it the default ``None``."""


class Page(BaseModel, Generic[Item]):
    """One page of a list, newest first."""

    data: list[Item]
    next_cursor: str | None = Field(
        description="Ask with `cursor` set to this for the next page; null on the last one.",
        examples=[None],
    )


def cut(
    rows: Sequence[Row], limit: int, list_: str, id_of: Callable[[Row], str]
) -> tuple[Sequence[Row], str | None]:
    """The page and its cursor, of rows that were read with ``LIMIT limit + 1``."""
    page = rows[:limit]
    more = len(rows) > limit
    return page, encode_cursor(list_, id_of(page[-1])) if more else None


def encode_cursor(list_: str, after: str) -> str:
    """The cursor of list ``list_`` (a word of ours) behind the row with id ``after``."""
    return _spell([_VERSION, list_, after, _check(list_, after)])


def decode_cursor(list_: str, cursor: str | None) -> str | None:
    """The id that a cursor stands behind, ``None`` for none. Raises ``ValidationFailed``."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        _refuse()
    match found:
        case [int(), str(kind), str(after), str(check)] if (
            kind == list_ and _ID.fullmatch(after) and check == _check(kind, after)
        ):
            # One id has one spelling, so that nothing is hidden in spare bits and blanks.
            if _spell([_VERSION, kind, after, check]) == cursor:
                return after
    _refuse()


def _spell(content: list[Any]) -> str:
    text = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _check(list_: str, after: str) -> str:
    return sha256(f"{_VERSION}:{list_}:{after}".encode()).hexdigest()[:8]


def _refuse() -> NoReturn:
    raise ValidationFailed(
        [
            {
                "field": "query.cursor",
                "code": "cursor_invalid",
                "message": "Not a cursor of this list: use next_cursor as it was given",
            }
        ]
    )
