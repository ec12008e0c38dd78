"""The two dialects of the aggregator protocol."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Dialect"]


class Dialect(StrEnum):
    """A property of the order: it is reported in the dialect that it came in (contract, 0)."""

    SPEC = "spec"
    LIVE = "live"
