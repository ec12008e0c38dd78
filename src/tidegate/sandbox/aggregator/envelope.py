"""The aggregator's answers: an HTTP status and ``{"status","message","data"}`` (section 1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["EMPTY_500", "ROUTE_NOT_FOUND", "Reply", "field_errors", "refused", "success"]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``body`` is the exact bytes; empty where LIVE's handler panics or forgets."""

    status: int
    body: bytes


def success(message: str, data: Any = None, status: int = 200) -> Reply:
    """A success envelope."""
    document = {"status": "success", "message": message, "data": data}
    return Reply(status, _encode(document).encode())


def refused(status: int, message: str, data: Any = None) -> Reply:
    """An error envelope."""
    document = {"status": "error", "message": message, "data": data}
    return Reply(status, _encode(document).encode())


def field_errors(*fields: str, message: str = "This field is required") -> Reply:
    """400 with the Go names of the struct fields that failed validation."""
    return refused(
        400,
        "Failed to validate payload",
        [{"field": field, "message": message} for field in fields],
    )


EMPTY_500 = Reply(500, b"")
"""What a panicking handler leaves: a wrong JSON type in a known field (4.3, 4.5)."""

ROUTE_NOT_FOUND = refused(404, "Route Not Found")
