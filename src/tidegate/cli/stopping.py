"""The stop signal of a serving process, heard before its server hears it.

A server told to stop closes its listener at once, while a load balancer may still send to it. So
first the balancer is told: ``/ready`` says no, and each answer ends its connection. After
``SHUTDOWN_DELAY`` open streams end, the worker takes no more work, and only then the signal goes
on to the server, which closes its listener and waits for the requests that run. A second signal
skips the delay. It is the same under any server that runs the application in its main thread.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog

from tidegate.api.deps import Deps
from tidegate.workers.main import Worker

__all__ = ["Stopping"]

log = structlog.get_logger()

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """What happens at a stop signal, from :meth:`listen` to :meth:`close`."""

    def __init__(self, deps: Deps, worker: Worker, delay_s: float) -> None:
        self._deps = deps
        self._worker = worker
        self._delay_s = delay_s
        self._servers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def listen(self) -> None:
        """Take the place of the server's own handlers, if it has any."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for sign in _SIGNALS:
            theirs = signal.getsignal(sign)
            # Python's own answer to Ctrl-C is no server's.
            if callable(theirs) and theirs is not signal.default_int_handler:
                self._servers[sign] = theirs
                signal.signal(sign, self._heard)

    def begin(self) -> None:
        """Streams end and no work is taken; for a server that stops without a signal as well."""
        self._deps.stopping = True
        self._deps.app.telling.hub.close()
        self._worker.retire()

    def close(self) -> None:
        """The server's handlers are its own again."""
        if self._timer is not None:
            self._timer.cancel()
        for sign, theirs in self._servers.items():
            if signal.getsignal(sign) == self._heard:
                signal.signal(sign, theirs)

    def _heard(self, sign: int, frame: FrameType | None) -> None:
        # In the midst of anything: the loop does it, between two of its steps.
        assert self._loop is not None  # by listen
        self._loop.call_soon_threadsafe(self._told, sign)

    def _told(self, sign: int) -> None:
        assert self._loop is not None  # by listen
        again, self._deps.stopping = self._deps.stopping, True
        if self._timer is not None:
            self._timer.cancel()
        if again or self._delay_s <= 0:
            self._go_on(sign)
            return
        log.info("process.stopping", delay_s=self._delay_s)
        self._timer = self._loop.call_later(self._delay_s, self._go_on, sign)

    def _go_on(self, sign: int) -> None:
        self.begin()
        self._servers[sign](sign, None)
