"""An opened database, and a program that is newer than this one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.next_version import add_migrations, copy_migrations
from tidegate.clock import SystemClock
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse
from tidegate.migrations import revisions


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(parse(database_url), SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
def become_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``become_next({"0099": text}, ...)``: from now on this process knows these too."""

    def become(files: dict[str, str]) -> None:
        place = tmp_path / f"migrations-{len(list(tmp_path.iterdir()))}"
        copy_migrations(revisions.PLACE, place)
        add_migrations(place, files)
        monkeypatch.setattr(revisions, "PLACE", place)

    return become
