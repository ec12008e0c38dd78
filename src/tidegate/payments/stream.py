"""Stream: a payment's events as they happen, read from the event table (payments.md, "Payments").

The table is the only source: a reader remembers the number of the last event it gave and reads on
from there, so nothing is lost between two readings and nothing has to be kept for it. It is woken
by commits of its own process and looks once a second for those of others.

A stream does not end with the payment (a refund or a dispute may come years later): it ends when
the client leaves, when the token does, or when the process stops.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from sqlalchemy import Connection, bindparam, select

from tidegate.clock import Clock
from tidegate.db.engine import Database
from tidegate.errors import NotFound, TooManyRequests
from tidegate.payments.deliver_store import Row
from tidegate.payments.tables import payment_events, payments

__all__ = ["BEAT", "Beat", "Hub", "Stream"]

_PAGE = 100
_POLL_S = 1.0
_BEAT_S = 15.0
_RETRY_AFTER_S = 5

_whose = select(payments.c.user_id).where(payments.c.id == bindparam("id"))
_number_of = select(payment_events.c.seq).where(
    payment_events.c.payment_id == bindparam("payment_id"),
    payment_events.c.id == bindparam("event_id"),
)
_since = (
    select(payment_events)
    .where(
        payment_events.c.payment_id == bindparam("payment_id"),
        payment_events.c.seq > bindparam("seq"),
    )
    .order_by(payment_events.c.seq)
    .limit(_PAGE)
)


class Beat:
    """Nothing happened; the stream lives."""


BEAT: Final = Beat()


class Hub:
    """The open streams of this process."""

    def __init__(self, streams_max: int = 10) -> None:
        self._streams_max = streams_max
        self._open: Counter[str] = Counter()
        self._awake: dict[str, set[asyncio.Event]] = {}
        self._closed = False

    def touch(self, payment_id: str) -> None:
        """Something was committed about the payment."""
        for awake in self._awake.get(payment_id, ()):
            awake.set()

    def close(self) -> None:
        """End all streams: the process stops. Clients come back and resume elsewhere."""
        self._closed = True
        for waiting in self._awake.values():
            for awake in waiting:
                awake.set()

    @property
    def closed(self) -> bool:
        return self._closed

    @contextmanager
    def place(self, user_id: str) -> Iterator[None]:
        """One of the user's streams. Raises ``TooManyRequests`` when all are taken."""
        if self._open[user_id] >= self._streams_max:
            raise TooManyRequests(
                f"There are {self._streams_max} open streams already.",
                retry_after_s=_RETRY_AFTER_S,
            )
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]

    @contextmanager
    def listening(self, payment_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the payment is touched."""
        awake = asyncio.Event()
        waiting = self._awake.setdefault(payment_id, set())
        waiting.add(awake)
        try:
            yield awake
        finally:
            waiting.discard(awake)
            if not waiting and self._awake.get(payment_id) is waiting:
                del self._awake[payment_id]


class Stream:
    """The verb: follow one payment."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        hub: Hub,
        *,
        beat_s: float = _BEAT_S,
        poll_s: float = _POLL_S,
    ) -> None:
        self._database = database
        self._clock = clock
        self.hub = hub
        self._beat_s = beat_s
        self._poll_s = poll_s

    async def begin(self, user_id: str, payment_id: str, last_event_id: str | None) -> int:
        """The number of the last event that the client has: 0 without one, or with one that is
        not of this payment (then it gets everything again, rather than a gap).

        Raises ``NotFound`` when the payment is not the user's.
        """

        def read(connection: Connection) -> int:
            owner = connection.execute(_whose, {"id": payment_id}).scalar()
            if owner != user_id:
                raise NotFound()
            if last_event_id is None:
                return 0
            parameters = {"payment_id": payment_id, "event_id": last_event_id}
            return connection.execute(_number_of, parameters).scalar() or 0

        return await self._database.fetch(read)

    async def follow(
        self,
        payment_id: str,
        seq: int,
        token_expires_ms: int,
        still_valid: Callable[[], Awaitable[bool]],
    ) -> AsyncIterator[Row | Beat]:
        """Rows of ``payment_events`` behind number ``seq``, and :data:`BEAT` every 15 s.

        Ends when the token expires (Unix ms), at the beat that finds it void, or with the hub.
        """
        beats_at = self._clock.monotonic() + self._beat_s
        with self.hub.listening(payment_id) as awake:
            while not self.hub.closed:
                # Before reading: what is committed during the read is then read at once.
                awake.clear()
                for row in await self._database.fetch(partial(_read, payment_id, seq)):
                    if self._clock.now_ms() >= token_expires_ms:
                        return
                    seq = row["seq"]
                    awake.set()  # there may be more than one page
                    yield row
                left_s = (token_expires_ms - self._clock.now_ms()) / 1000
                if left_s <= 0:
                    return
                now = self._clock.monotonic()
                if now >= beats_at:
                    if not await still_valid():
                        return
                    beats_at = now + self._beat_s
                    yield BEAT
                await self._pause(awake, min(self._poll_s, left_s, beats_at - now))

    async def _pause(self, awake: asyncio.Event, seconds: float) -> None:
        """Until touched, at most ``seconds`` of the clock."""
        if awake.is_set():
            return
        waiting = {
            asyncio.ensure_future(awake.wait()),
            asyncio.ensure_future(self._clock.sleep(max(0.0, seconds))),
        }
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each


def _read(payment_id: str, seq: int, connection: Connection) -> list[Row]:
    parameters = {"payment_id": payment_id, "seq": seq}
    return [dict(row) for row in connection.execute(_since, parameters).mappings()]
