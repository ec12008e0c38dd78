"""The database that these tests share the making of."""

from tests.support.store import store, store_url

__all__ = ["store", "store_url"]
