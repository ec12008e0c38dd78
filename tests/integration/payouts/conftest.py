"""Worlds on fresh databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Prepare
from tests.support.node import migrate
from tests.support.world import World

OpenWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def open_world(
    make_template: Callable[[str, Prepare], Callable[[], str]], tmp_path: Path
) -> AsyncIterator[OpenWorld]:
    """``await open_world(**fields)`` opens a :class:`World` on a migrated database."""
    opened: list[World] = []
    fresh = make_template("node", migrate)

    async def make(**fields: Any) -> World:
        made = World(fresh(), tmp_path, **fields)
        opened.append(made)
        await made.open()
        return made

    yield make
    for made in opened:
        await made.close()
