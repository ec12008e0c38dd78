"""The worlds of these tests."""

from tests.support.world import open_world

__all__ = ["open_world"]
