"""A live stream of what happens to orders, for measuring and for showing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

__all__ = ["Event", "Events", "Subscription"]


@dataclass(frozen=True, slots=True)
class Event:
    """``at`` is seconds of the clock's monotonic reading; ``name`` as in an order's marks."""

    order_id: str
    name: str
    at: float


class Subscription:
    """An async iterator over events from the moment it was made; ``close`` ends it.

    The queue is not bounded: a slow reader costs memory, never the measured path.
    """

    def __init__(self, forget: Callable[[Subscription], None]) -> None:
        self._forget = forget
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, event: Event | None) -> None:
        """Hand over one event; ``None`` ends the iteration."""
        self._queue.put_nowait(event)

    def close(self) -> None:
        """Stop receiving; a waiting reader is released."""
        self._forget(self)
        self._queue.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Events:
    """Everybody who listens; publishing costs nothing when nobody does."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def subscribe(self) -> Subscription:
        """A new subscription."""
        subscription = Subscription(self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    def publish(self, order_id: str, name: str, at: float) -> None:
        """Tell everybody."""
        if self._subscriptions:
            event = Event(order_id, name, at)
            for subscription in self._subscriptions:
                subscription.put(event)

    def close(self) -> None:
        """Release every reader."""
        for subscription in list(self._subscriptions):
            subscription.close()
