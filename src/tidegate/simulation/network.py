"""Connections inside the process: bytes with delays, in order, that can be lost with their link.

Faults strike *exchanges*: the first bytes a client writes after an answer begin one. Each exchange
between two parties is numbered, and :attr:`Network.fate` is asked what becomes of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.simulation.loop import SimulatedLoop
from tidegate.simulation.party import Party, current
from tidegate.simulation.plan import Wire
from tidegate.simulation.trace import Trace

__all__ = ["Network"]

_FIRST_PORT = 21_001
# Most answers are quick; some take long enough for others to overtake them.
_QUICK_S, _SLOW_S, _SLOW_SHARE = (0.0005, 0.012), (0.05, 0.8), 0.06
_APART_S = 1e-6
# What is late arrives when whoever asked has given up.
_LATE_S = (5.2, 7.5)


@dataclass(slots=True)
class _Listener:
    factory: Callable[[], asyncio.Protocol]
    party: Party
    context: contextvars.Context


class _Server:
    """What ``create_server`` returns: as much of it as servers look at."""

    def __init__(self, network: Network, port: int) -> None:
        self._network = network
        self._port = port
        self.sockets = (self,)

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def close(self) -> None:
        self._network.listeners.pop(self._port, None)

    async def wait_closed(self) -> None:
        return None

    def is_serving(self) -> bool:
        return self._port in self._network.listeners


class Network:
    """All links. ``fate`` says what becomes of the n-th exchange from one party to another."""

    def __init__(self, loop: SimulatedLoop, seed: int, trace: Trace) -> None:
        self.loop = loop
        self.trace = trace
        self.listeners: dict[int, _Listener] = {}
        self.address_of: dict[socket.socket, Any] = {}
        self.fate: Callable[[str, str, int], Wire | None] = lambda client, server, number: None
        self.before_call: Callable[[Party], None] = lambda party: None
        self.after_call: Callable[[Party], None] = lambda party: None
        self.apart: set[frozenset[str]] = set()
        self.down: set[str] = set()
        self.exchanges: Counter[tuple[str, str]] = Counter()
        self.struck: Counter[str] = Counter()
        self.doubled: list[str] = []
        self.late: list[str] = []
        self.answered_late: list[str] = []
        self.unheard: list[bytes] = []
        self.copies: list[bytes] = []
        self._chance = random.Random(f"network {seed}")  # noqa: S311 -- a run that must repeat
        self._links: list[_Link] = []
        self._next_port = _FIRST_PORT

    # -- who listens, who calls ---

    def listen(self, factory: Callable[[], asyncio.Protocol], port: int) -> _Server:
        """Take connections at ``port`` (0: the next one) as the present party."""
        if port == 0:
            port, self._next_port = self._next_port, self._next_port + 1
        party = current()
        assert party is not None, "nobody listens as nobody"
        if port in self.listeners:
            raise OSError(98, f"port {port} is taken by {self.listeners[port].party.name}")
        self.listeners[port] = _Listener(factory, party, contextvars.copy_context())
        return _Server(self, port)

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Connect the present party with whoever listens at ``port``. Raises ``OSError``."""
        party = current()
        assert party is not None, "nobody calls as nobody"
        await asyncio.sleep(self.delay_s())
        listener = self.listeners.get(port)
        if listener is None or not listener.party.alive or listener.party.name in self.down:
            raise ConnectionRefusedError(111, "nobody listens there")
        if self.is_apart(party, listener.party):
            await self.loop.create_future()  # the caller's patience ends it
        link = _Link(self, party, listener)
        self._links.append(link)
        return link.open(factory)

    def is_apart(self, one: Party, other: Party) -> bool:
        return frozenset((one.name, other.name)) in self.apart

    # -- what is lost ---

    def cut(self, party: Party) -> None:
        """Its connections are reset and its ports closed: the machine says so for the dead."""
        for port, listener in list(self.listeners.items()):
            if listener.party is party:
                del self.listeners[port]
        for link in [*self._links]:
            if party in link.parties:
                link.break_off(party)

    def tear(self, name: str) -> None:
        """Every connection of those called ``name`` is reset on both sides."""
        for link in [*self._links]:
            if any(party.name == name for party in link.parties):
                link.reset()

    def forget(self, link: _Link) -> None:
        if link in self._links:
            self._links.remove(link)

    def delay_s(self) -> float:
        """How long the next bytes travel."""
        slow = self._chance.random() < _SLOW_SHARE
        return self._chance.uniform(*(_SLOW_S if slow else _QUICK_S))

    def late_s(self) -> float:
        return self._chance.uniform(*_LATE_S)


class _End(asyncio.Transport):
    """One end of a link, as its protocol sees it."""

    def __init__(self, link: _Link, party: Party, context: contextvars.Context) -> None:
        super().__init__()
        self.link = link
        self.party = party
        self.context = context
        self.protocol: asyncio.Protocol | None = None
        self.other: _End = self
        self._closing = False
        self._lost = False
        self._paused = False
        self._kept: list[bytes] = []
        self._last = 0.0

    # -- what protocols call ---

    def write(self, data: Any) -> None:
        if not self._closing and self.party.alive and data:
            self.link.carry(self, bytes(data))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.send(self.other.end, self.link.network.delay_s())
            self._lose_soon(None)

    def abort(self) -> None:
        self.link.break_off(self.party)
        self._closing = True
        self._lose_soon(None)

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        ports = {"peername": ("127.0.0.1", 0), "sockname": ("127.0.0.1", 0)}
        return ports.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        while self._kept and not self._paused:
            self._hand(self._kept.pop(0))

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered here."""

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    # -- what arrives ---

    def send(self, act: Callable[..., None], delay_s: float, *args: Any) -> None:
        """Let ``act`` happen at the other end, after everything sent before it."""
        # Never the same instant twice: timers of one instant fire in no order.
        when = max(self.link.network.loop.time() + delay_s, self._last + _APART_S)
        self._last = when
        other = self.other
        self.link.network.loop.call_at(when, act, *args, context=other.context)

    def take(self, data: bytes) -> None:
        """Bytes arrive."""
        if self._lost or self._closing or self.link.network.is_apart(*self.link.parties):
            return
        if self._paused:
            self._kept.append(data)
        else:
            self._hand(data)

    def _hand(self, data: bytes) -> None:
        assert self.protocol is not None
        self.protocol.data_received(data)

    def end(self) -> None:
        """The other side has closed."""
        if self._lost or self._closing:
            return
        assert self.protocol is not None
        if not self.protocol.eof_received():
            self.close()

    def lose(self, error: Exception | None) -> None:
        """The connection is gone."""
        if self._lost:
            return
        self._lost = self._closing = True
        self.link.network.forget(self.link)
        if self.protocol is not None:
            self.protocol.connection_lost(error)

    def _lose_soon(self, error: Exception | None) -> None:
        self.link.network.loop.call_soon(self.lose, error, context=self.context)

    def reset_soon(self, delay_s: float) -> None:
        error = ConnectionResetError(104, "connection reset by peer")
        loop = self.link.network.loop
        loop.call_at(loop.time() + delay_s, self.lose, error, context=self.context)


class _Link:
    """One connection: what the client writes goes to the server, unless fate says otherwise."""

    def __init__(self, network: Network, client: Party, listener: _Listener) -> None:
        self.network = network
        self.client = _End(self, client, contextvars.copy_context())
        self.server = _End(self, listener.party, listener.context.copy())
        self.client.other, self.server.other = self.server, self.client
        self._listener = listener
        self.parties = (client, listener.party)
        self._asking = False
        self._fate: Wire | None = None
        self._name = ""
        self._copied = b""

    def open(
        self, factory: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        self.server.protocol = self._listener.factory()
        protocol = self.client.protocol = factory()
        self.network.loop.call_soon(
            self.server.protocol.connection_made, self.server, context=self.server.context
        )
        protocol.connection_made(self.client)
        return self.client, protocol

    def break_off(self, party: Party) -> None:
        """``party`` is gone without a word; the other end hears of it."""
        for end in (self.client, self.server):
            if end.party is not party:
                end.reset_soon(self.network.delay_s())
        self.network.forget(self)

    def reset(self) -> None:
        for end in (self.client, self.server):
            end.reset_soon(self.network.delay_s())
        self.network.forget(self)

    # -- bytes ---

    def carry(self, sender: _End, data: bytes) -> None:
        if sender is self.client:
            self._ask(data)
        else:
            self._answer(data)

    def _ask(self, data: bytes) -> None:
        network, client, server = self.network, self.client.party.name, self.server.party.name
        if not self._asking:
            self._asking = True
            network.exchanges[client, server] += 1
            number = network.exchanges[client, server]
            self._fate = network.fate(client, server, number)
            line = data.split(b"\r\n", 1)[0].decode("latin-1").rsplit(" ", 1)[0]
            self._name = f"{client} > {server} #{number} {line}"
            network.trace.add("asks", f"{self._name}{f' ({self._fate})' if self._fate else ''}")
            if self._fate:
                network.struck[self._fate] += 1
            if self._fate is Wire.LATE_REQUEST:
                network.late.append(self._name)
            if self._fate is Wire.LATE_ANSWER:
                network.answered_late.append(self._name)
            if self._fate in {Wire.LOSE_ANSWER, Wire.LOSE_ANSWER_SILENTLY}:
                network.unheard.append(data)
            network.before_call(self.client.party)
            if not self.client.party.alive:
                return
            if self._fate in {Wire.LOSE_REQUEST, Wire.LOSE_REQUEST_SILENTLY}:
                if self._fate is Wire.LOSE_REQUEST:
                    self.reset()
                return
            if self._fate is Wire.TWICE:
                self._copied = b""
                network.loop.call_at(
                    network.loop.time() + network.delay_s() * 3,
                    self._ask_again,
                    context=self.client.context,
                )
        if self._fate is Wire.TWICE:
            self._copied += data
        if self._fate in {Wire.LOSE_REQUEST, Wire.LOSE_REQUEST_SILENTLY}:
            return
        late = self._fate is Wire.LATE_REQUEST
        self.client.send(self.server.take, network.late_s() if late else network.delay_s(), data)

    def _answer(self, data: bytes) -> None:
        network = self.network
        if self._asking:
            self._asking = False
            status = data.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)[1:2]
            network.trace.add("answers", f"{self._name}: {''.join(status)}")
            network.after_call(self.client.party)
        if self._fate is Wire.LOSE_ANSWER:
            self.reset()
            return
        if self._fate is Wire.LOSE_ANSWER_SILENTLY:
            return
        late = self._fate is Wire.LATE_ANSWER
        self.server.send(self.client.take, network.late_s() if late else network.delay_s(), data)

    def _ask_again(self) -> None:
        """A proxy on the way says it a second time, and throws the answer away."""
        listener = self._listener
        if listener.party.alive and not self.network.is_apart(*self.parties):
            ghost = _Link(self.network, self.client.party, listener)
            ghost._asking = True
            ghost._name = f"{self._name} (again)"
            self.network.doubled.append(self._name)
            self.network.copies.append(self._copied)
            ghost.open(asyncio.Protocol)
            ghost.client.send(ghost.server.take, self.network.delay_s(), self._copied)
