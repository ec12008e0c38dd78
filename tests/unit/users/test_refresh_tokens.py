"""Refresh tokens: how they are derived, and what a shown one means."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.users.refresh_tokens import Standing, new_token, reading_of, standing_of, token_id

NOW, GRACE = 1_000_000, 5_000


def _token(**more: Any) -> dict[str, Any]:
    row = {"used_at": None, "revoked_at": None, "expires_at": NOW + 1, "state": "active"}
    return {**row, **more}


@pytest.mark.parametrize(
    ("token", "successor", "standing"),
    [
        (None, None, Standing.VOID),
        (_token(), None, Standing.FRESH),
        (_token(revoked_at=1), None, Standing.VOID),
        (_token(expires_at=NOW), None, Standing.VOID),
        (_token(state="disabled"), None, Standing.VOID),
        (_token(used_at=NOW), {"used_at": None}, Standing.REPEATED),
        (_token(used_at=NOW - GRACE), {"used_at": None}, Standing.REPEATED),
        (_token(used_at=NOW - GRACE - 1), {"used_at": None}, Standing.REUSED),
        (_token(used_at=NOW), {"used_at": NOW}, Standing.REUSED),
        (_token(used_at=NOW), None, Standing.REUSED),
        # A family that has ended is not ended again.
        (_token(used_at=1, revoked_at=2), {"used_at": 1}, Standing.VOID),
    ],
)
def test_what_a_shown_token_is_worth(
    token: dict[str, Any] | None, successor: dict[str, Any] | None, standing: Standing
) -> None:
    """The whole table."""
    assert standing_of(token, successor, now_ms=NOW, grace_ms=GRACE) is standing


def test_a_token_cannot_be_guessed() -> None:
    """256 bits, each time others."""
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert {len(token) for token in made} == {43}


def test_successor_and_id_need_the_secret() -> None:
    """The same each time, others under another secret, and neither is the other."""
    (mine, previous), (again,) = reading_of(["a", "b"], "token"), reading_of(["a"], "token")
    assert mine == again
    texts = {mine.id, mine.successor_id, previous.id, previous.successor_id}
    assert len(texts | {mine.successor, previous.successor}) == 6
    assert mine.successor_id == token_id("a", mine.successor)
    assert len(mine.successor) == 43
