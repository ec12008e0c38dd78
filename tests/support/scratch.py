"""Where tests keep their files: in memory, where there is enough of it and programs may run there.

A database of a test lives for a moment. Making one for PostgreSQL copies three hundred files, which
takes a disk several times as long as memory; SQLite waits for the disk at every commit.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["use_memory"]

_MEMORY = Path("/dev/shm")  # noqa: S108 -- only of files that are made with names of their own
_FREE_BYTES_MIN = 6 * 2**30


def use_memory() -> None:
    """Let this process and those that it starts make temporary files in memory, unless the
    environment names another place (``TMPDIR``)."""
    if "TMPDIR" not in os.environ and _is_fit(_MEMORY):
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # looked up again


def _is_fit(place: Path) -> bool:
    """Containers often have a small one, from which nothing can be run."""
    if not place.is_dir() or not os.access(place, os.W_OK):
        return False
    about = os.statvfs(place)
    return about.f_bavail * about.f_frsize >= _FREE_BYTES_MIN and not about.f_flag & os.ST_NOEXEC
