"""localstripe on 127.0.0.1: ``python -m tests.acceptance.localstripe.launch``.

Its own command listens on every address of the machine and writes its state after each call into
one file that all users of the machine share. Here the same application listens on a free port of
127.0.0.1, prints its address, begins empty (as ``--from-scratch`` does) and keeps to its memory.
"""

from __future__ import annotations

import socket

from aiohttp import web
from localstripe.resources import store  # type: ignore[import-untyped]  # it ships no annotations
from localstripe.server import app  # type: ignore[import-untyped]  # likewise

__all__ = ["main"]


def main() -> None:
    """Serve until told to stop."""
    type(store).dump_to_disk = lambda self: None
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()  # before the address is told: whoever reads it may call
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    web.run_app(app, sock=listening, print=None, access_log=None)


if __name__ == "__main__":
    main()
