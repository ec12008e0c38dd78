"""Worlds on fresh databases."""

from __future__ import annotations

from tests.support.world import open_world

__all__ = ["open_world"]
