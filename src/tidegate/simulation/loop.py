"""An event loop on simulated time: when nobody has anything to do, time jumps to the next timer.

Nothing here waits for the machine. Work for threads is done at once, in the loop, so that a run
repeats; connections are those of :class:`tidegate.simulation.network.Network`.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

from tidegate.simulation.party import Party, is_dead

if TYPE_CHECKING:
    from tidegate.simulation.network import Network

__all__ = ["SimulatedLoop", "Stuck"]

Ts = TypeVarTuple("Ts")


class Stuck(Exception):
    """Nobody has anything to do, and no timer will change that; or far too much was done."""


class _Timeline:
    """Stands where a loop has its selector: waiting is moving the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nobody has anything to do any more")
        self.turns += 1
        if timeout > 0:
            self.now += timeout
        return []

    def close(self) -> None:
        """Nothing is open."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Time starts at zero; :attr:`network` carries what is sent."""

    network: Network

    def __init__(self, turns_max: int = 5_000_000) -> None:
        super().__init__()
        self._timeline = self._selector = _Timeline()
        self._clock_resolution = 1e-9
        self._turns_max = turns_max
        self.set_exception_handler(self._note)
        self.faults: list[str] = []
        """What went wrong inside callbacks: nobody else would say so."""

    def time(self) -> float:
        return self._timeline.now

    @property
    def turns(self) -> int:
        """How often the loop has gone round."""
        return self._timeline.turns

    def _process_events(self, event_list: list[Any]) -> None:
        """No file is watched. (``BaseEventLoop`` asks for this.)"""
        if self._timeline.turns > self._turns_max:
            raise Stuck(f"no end after {self._turns_max} turns of the loop")

    def _write_to_self(self) -> None:
        """No thread wakes this loop."""

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, future = context.get("exception"), context.get("future")
        # A plain future whose answer nobody took belonged to somebody who died.
        if error is not None and (future is None or isinstance(future, asyncio.Task)):
            self.faults.append(f"{context.get('message')}: {error!r}")

    # -- a dead party's work is not scheduled ---

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        if is_dead(context):
            handle.cancel()
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = super().call_at(when, callback, *args, context=context)
        if is_dead(context):
            timer.cancel()
        return timer

    def kill(self, party: Party) -> None:
        """From here on nothing of ``party`` runs."""
        party.alive = False
        party.remains.extend(asyncio.all_tasks(self))
        handles = [*self._ready, *self._scheduled]  # type: ignore[attr-defined]  # of BaseEventLoop
        for handle in handles:
            if is_dead(handle._context):
                party.remains.append(handle)
                handle.cancel()
        self.network.cut(party)

    # -- threads and sockets ---

    def run_in_executor(  # type: ignore[override]  # at once: there is no other thread
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """What clients do first: the address is kept until the connection is made."""
        self.network.address_of[sock] = address

    async def create_connection(  # type: ignore[override]  # one kind of connection is enough
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        if sock is not None:
            port = self.network.address_of.pop(sock)[1]
            sock.close()
        assert port is not None
        return await self.network.connect(protocol_factory, port)

    async def create_server(  # type: ignore[override]  # the same
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        host: str | None = None,
        port: int = 0,
        **options: Any,
    ) -> Any:
        return self.network.listen(protocol_factory, port)
