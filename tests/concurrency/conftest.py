"""A crowd for all tests of a run, and worlds on fresh databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.concurrency.crowd import Crowd
from tests.support.store import store, store_url
from tests.support.world import open_world

__all__ = ["crowd", "open_world", "store", "store_url"]


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Its processes are started by the first test that needs them, and end with the run."""
    made = Crowd(tmp_path_factory.mktemp("crowd") / "log")
    yield made
    made.close()
