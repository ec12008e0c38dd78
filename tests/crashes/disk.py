"""A disk that is small enough to be filled: a filesystem in memory, mounted for the test alone."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

__all__ = ["SmallDisk"]

_STOP_S = 20
_CHUNK = bytes(65_536)

# $1: where. Waits for the end of the test, however that ends, and takes the disk away.
_KEEPER = """
trap '' INT TERM HUP
read -r _
umount -l "$1"
"""


class SmallDisk:
    """Mounted at ``place`` (an empty directory). Mounting takes root: see :meth:`is_possible`."""

    def __init__(self, place: Path, mib: int) -> None:
        self.place = place
        self._ballast = place / "ballast"
        options = f"size={mib}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", str(place)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )

    @staticmethod
    def is_possible() -> bool:
        """Whether this process may mount: root, with the capability (21: CAP_SYS_ADMIN)."""
        with suppress(OSError):
            lines = Path("/proc/self/status").read_text().splitlines()
            capable = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
            return os.geteuid() == 0 and bool(int(capable, 16) >> 21 & 1)
        return False

    def fill(self) -> None:
        """Leave not one byte; what others free meanwhile is taken as well at the next call."""
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(_CHUNK)

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount; the files are gone."""
        assert self._keeper.stdin is not None  # by its pipe
        self._keeper.stdin.close()
        self._keeper.wait(_STOP_S)
