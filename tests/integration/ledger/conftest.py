"""The database that these tests share the making of, and a book in it."""

from __future__ import annotations

import pytest

from tests.integration.ledger.books import opened, record, reserved, seal
from tests.support.store import Store, store, store_url

__all__ = ["book", "store", "store_url"]


@pytest.fixture
async def book(store: Store) -> Store:
    """Six sealed entries in two blocks, and one that is not sealed."""
    await record(store, opened("o1", 1_000), opened("o2", 500), reserved("r1", 300))
    await seal(store)
    await record(store, reserved("r2", 200), opened("o3", 50), opened("o4", 60))
    await seal(store)
    await record(store, reserved("r3", 10))
    return store
