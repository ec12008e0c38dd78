"""The case of an encrypted value that does not open, where nothing is held because of it."""

from __future__ import annotations

from tidegate.cases.store import OpenCase
from tidegate.errors import DataUnreadable

__all__ = ["unreadable"]


def unreadable(subject: str, error: DataUnreadable) -> OpenCase:
    """``subject`` is the row that needed the value, and goes on without it."""
    return OpenCase(
        "data_unreadable",
        subject,
        f"{error.detail} Nothing is done with it. Find out who wrote to the database.",
        "high",
    )
