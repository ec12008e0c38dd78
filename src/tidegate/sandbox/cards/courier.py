"""Webhooks as the processor sends them, faults included (processor.md 5).

``Stripe-Signature: t=<Unix seconds>,v1=<hex>``, HMAC-SHA256 of ``t.body`` under the endpoint's
secret, made anew for every try. Delivery is at least once and in no certain order: anything but
2xx is tried again on a short schedule.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from tidegate.clock import Clock
from tidegate.sandbox.bank.patience import Patience
from tidegate.sandbox.faults import CardFault, CardFaults

__all__ = ["RETRY_AFTER_S", "UNHEARD_OF", "Courier", "Delivery", "sign"]

RETRY_AFTER_S: Final = (0.2, 1.0, 5.0, 30.0)
UNHEARD_OF: Final = "sandbox.unheard_of"
_SURPLUS: Final = 100
_REMEMBERED: Final = 10_000
_AMOUNTS: Final = ("amount", "amount_received", "amount_captured", "amount_capturable")


def sign(secret: str, moment: int, body: bytes) -> str:
    """The header's value for a body sent at ``moment`` (Unix seconds)."""
    digest = hmac.new(secret.encode(), b"%d.%s" % (moment, body), hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try: ``answer`` is the HTTP status, or 0 when nobody answered."""

    event: str
    payment: str
    answer: int


@dataclass(frozen=True, slots=True)
class _Letter:
    event: str
    payment: str
    body: bytes
    honest: bool = True


class Courier:
    """Sends webhooks at once, ``in_flight`` at a time, and repeats what was not received.

    ``url`` may be set at any time; without one nothing is sent and nothing is kept for later.
    """

    def __init__(
        self,
        clock: Clock,
        patience: Patience,
        faults: CardFaults,
        *,
        secret: str,
        url: str | None,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
        in_flight: int = 32,
    ) -> None:
        self.url = url
        self.counts: Counter[str] = Counter()
        self.deliveries: deque[Delivery] = deque(maxlen=_REMEMBERED)
        # For measuring: (payment, event, when it was sent, when it was answered), the instants in
        # seconds of the clock's monotonic reading; called for each webhook that was taken.
        self.on_delivered: Callable[[str, str, float, float], None] | None = None
        self._clock = clock
        self._patience = patience
        self._faults = faults
        self._secret = secret
        self._retry_after_s = tuple(retry_after_s)
        self._in_flight = in_flight
        self._gate = asyncio.Semaphore(in_flight)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[list[_Letter]] = []

    async def start(self) -> None:
        """Open the client; needs a running loop."""
        self._session = aiohttp.ClientSession(
            # The gate bounds what is in flight; waiting for it is no part of the time limit.
            connector=aiohttp.TCPConnector(limit=self._in_flight),
            timeout=aiohttp.ClientTimeout(total=20),
        )

    async def stop(self) -> None:
        """Give up what is still to be delivered and close the client."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._held.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def waiting(self) -> int:
        """How many webhooks are being sent, delayed or repeated."""
        return len(self._tasks)

    def announce(
        self, event: str, payment: str, names: tuple[str, ...], body: bytes
    ) -> asyncio.Task[None] | None:
        """Send an event; the task ends when it was taken or given up."""
        if self.url is None or self._session is None:
            return None
        faults = self._faults.plan.for_key(f"{event}:{payment}", payment, event, *names)
        if not faults:
            return self._spawn(self._carry([_Letter(event, payment, body)], late=False))
        if CardFault.WEBHOOK_NONE in faults:
            return None
        letters = _written(event, payment, body, faults)
        if CardFault.WEBHOOK_SWAPPED in faults and not self._held:
            self._held.append(letters)
            return self._spawn(self._release_late(letters))
        return self._spawn(self._carry(letters, late=CardFault.WEBHOOK_LATE in faults))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _release_late(self, letters: list[_Letter]) -> None:
        """Another event may never come: a swapped webhook then goes late, not never."""
        await self._patience.pause(self._faults.webhook_late_s)
        if letters in self._held:
            self._held.remove(letters)
            await self._carry(letters, late=False)

    async def _carry(self, letters: Sequence[_Letter], *, late: bool) -> None:
        if late:
            await self._patience.pause(self._faults.webhook_late_s)
        for letter in letters:
            await self._deliver(letter)
        if self._held:
            for letter in self._held.pop(0):
                await self._deliver(letter)

    async def _deliver(self, letter: _Letter) -> None:
        for wait_s in (*self._retry_after_s, None):
            async with self._gate:
                sent = self._clock.monotonic()
                answer = await self._post(letter)
            self.deliveries.append(Delivery(letter.event, letter.payment, answer))
            if 200 <= answer < 300:
                self.counts["delivered"] += 1
                if self.on_delivered is not None:
                    answered = self._clock.monotonic()
                    self.on_delivered(letter.payment, letter.event, sent, answered)
                return
            self.counts["refused"] += 1
            if wait_s is not None:
                await self._clock.sleep(wait_s)
        self.counts["given_up"] += 1

    async def _post(self, letter: _Letter) -> int:
        if self._session is None or self.url is None:
            return 0
        secret = self._secret if letter.honest else "whsec_of_somebody_else"
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(secret, self._clock.now_ms() // 1000, letter.body),
        }
        try:
            async with self._session.post(
                self.url, data=letter.body, headers=headers, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            # Whether it arrived is not known; at least once means: send again.
            return 0


def _written(event: str, payment: str, body: bytes, faults: frozenset[CardFault]) -> list[_Letter]:
    """What is sent in place of one event."""
    content: dict[str, Any] = json.loads(body)
    if CardFault.WEBHOOK_OTHER_AMOUNT in faults:
        thing = content["data"]["object"]
        thing.update({name: thing[name] + _SURPLUS for name in _AMOUNTS if thing.get(name)})
    if CardFault.WEBHOOK_LIVEMODE in faults:
        content["livemode"] = content["data"]["object"]["livemode"] = True
    honest = CardFault.WEBHOOK_BAD_SIGNATURE not in faults
    letter = _Letter(event, payment, _encoded(content), honest)
    letters = [letter, letter] if CardFault.WEBHOOK_DUPLICATE in faults else [letter]
    if CardFault.WEBHOOK_UNKNOWN_TYPE in faults:
        content |= {"id": content["id"] + "x", "type": UNHEARD_OF}
        letters.append(_Letter(UNHEARD_OF, payment, _encoded(content), honest))
    return letters


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
