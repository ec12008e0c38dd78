"""What the bank tells its customer by itself (psp.md 1.4), faults included.

Body ``{"event": "transaction.successful" | "transaction.failed", "data": <transaction>}``; the
header ``X-Lenco-Signature`` is the hex HMAC-SHA512 of the body under the hex text of the token's
SHA-256. Delivery is at least once: anything but 2xx is tried again on a short schedule.
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
from tidegate.sandbox.bank.transactions import Status, Transaction
from tidegate.sandbox.faults import BankFault, BankFaults

__all__ = ["RETRY_AFTER_S", "Courier", "Delivery", "sign", "webhook_key"]

RETRY_AFTER_S: Final = (0.2, 1.0, 5.0)
_SURPLUS: Final = 100
_REMEMBERED: Final = 10_000


def webhook_key(token: str) -> bytes:
    """The key of all webhooks: the 64 hex characters of the token's SHA-256, as ASCII."""
    return hashlib.sha256(token.encode()).hexdigest().encode()


def sign(key: bytes, body: bytes) -> str:
    """Lowercase hex HMAC-SHA512 of the body."""
    return hmac.new(key, body, hashlib.sha512).hexdigest()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try: ``answer`` is the HTTP status, or 0 when nobody answered."""

    event: str
    reference: str
    transaction_id: str
    status: str
    answer: int


@dataclass(frozen=True, slots=True)
class _Letter:
    event: str
    transaction: Transaction
    status: str
    body: bytes
    signature: str
    forged: bool = False


class Courier:
    """Sends webhooks at once, ``in_flight`` at a time, and repeats what was not received.

    ``url`` may be set at any time; without one nothing is sent and nothing is kept for later.
    """

    def __init__(
        self,
        clock: Clock,
        patience: Patience,
        faults: BankFaults,
        *,
        token: str,
        url: str | None,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
        in_flight: int = 32,
    ) -> None:
        self.url = url
        self.counts: Counter[str] = Counter()
        self.deliveries: deque[Delivery] = deque(maxlen=_REMEMBERED)
        # For measuring: (account number, when it was sent, when it was answered), the instants
        # in seconds of the clock's monotonic reading; called for each webhook that was taken.
        self.on_delivered: Callable[[str, float, float], None] | None = None
        self._clock = clock
        self._patience = patience
        self._faults = faults
        self._key = webhook_key(token)
        self._retry_after_s = tuple(retry_after_s)
        self._in_flight = in_flight
        self._gate = asyncio.Semaphore(in_flight)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[list[_Letter]] = []
        self._previous: dict[str, _Letter] = {}

    def change_token(self, token: str) -> None:
        """Letters that are written from now on are signed with this one's key."""
        self._key = webhook_key(token)

    async def start(self) -> None:
        """Open the client; needs a running loop."""
        self._session = aiohttp.ClientSession(
            # The gate bounds what is in flight; waiting for it is no part of the time limit.
            connector=aiohttp.TCPConnector(limit=self._in_flight),
            timeout=aiohttp.ClientTimeout(total=10),
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

    def announce(self, transaction: Transaction) -> None:
        """Send the event of a transaction that has just become successful or failed."""
        if self.url is None:
            return
        faults = self._of(transaction)
        if BankFault.WEBHOOK_NONE in faults:
            return
        letter = self._write(transaction, transaction.status, faults)
        letters = [letter]
        if BankFault.WEBHOOK_DUPLICATE in faults:
            letters.append(letter)
        if BankFault.WEBHOOK_STALE in faults:
            older = self._previous.get(transaction.id)
            letters.append(older or self._write(transaction, Status.PENDING, faults))
            self._previous[transaction.id] = letter
        if BankFault.WEBHOOK_SWAPPED in faults and not self._held:
            self._held.append(letters)
            self._spawn(self._release_late(letters))
        else:
            self._spawn(self._carry(letters, late=BankFault.WEBHOOK_LATE in faults))

    def forge_success(self, transaction: Transaction) -> None:
        """Claim, with a stranger's key, that a transfer was paid."""
        if self.url is not None and BankFault.WEBHOOK_FORGED_SUCCESS in self._of(transaction):
            letter = self._write(transaction, Status.SUCCESSFUL, frozenset(), forged=True)
            self._spawn(self._carry([letter], late=False))

    def _of(self, transaction: Transaction) -> frozenset[BankFault]:
        return self._faults.plan.for_key(transaction.reference, transaction.account_number)

    def _write(
        self,
        transaction: Transaction,
        status: Status,
        faults: frozenset[BankFault],
        *,
        forged: bool = False,
    ) -> _Letter:
        surplus = _SURPLUS if BankFault.WEBHOOK_OTHER_AMOUNT in faults else 0
        data = transaction.transaction_json(surplus=surplus)
        if status is not transaction.status:
            data |= _as_if(status)
        event = (
            "transaction.failed"
            if transaction.status is Status.FAILED and not forged
            else "transaction.successful"
        )
        content: dict[str, Any] = {"event": event, "data": data}
        body = json.dumps(content, separators=(",", ":")).encode()
        key = self._key
        if forged or BankFault.WEBHOOK_BAD_SIGNATURE in faults:
            key = webhook_key("a token of somebody else")
        signature = sign(key, body)
        if BankFault.WEBHOOK_RESERIALISED in faults:
            body = json.dumps(content, indent=2).encode()
        return _Letter(event, transaction, status.value, body, signature, forged)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release_late(self, letters: list[_Letter]) -> None:
        """The other transfer may never come: a swapped webhook then goes late, not never."""
        await self._patience.pause(self._faults.webhook_late_s)
        if letters in self._held:
            self._held.remove(letters)
            await self._carry(letters, late=False)

    async def _carry(self, letters: Sequence[_Letter], *, late: bool) -> None:
        if late:
            await self._patience.pause(self._faults.webhook_late_s)
        for letter in letters:
            await self._deliver(letter)
        if self._held and not letters[0].forged:
            overtaken = self._held.pop(0)
            for letter in overtaken:
                await self._deliver(letter)

    async def _deliver(self, letter: _Letter) -> None:
        # A forger tries once; the bank repeats until somebody has said 2xx or its patience ends.
        for wait_s in (*(() if letter.forged else self._retry_after_s), None):
            async with self._gate:
                sent = self._clock.monotonic()
                answer = await self._post(letter)
            self.deliveries.append(
                Delivery(
                    letter.event,
                    letter.transaction.reference,
                    letter.transaction.id,
                    letter.status,
                    answer,
                )
            )
            if 200 <= answer < 300:
                self.counts["delivered"] += 1
                if self.on_delivered is not None:
                    answered = self._clock.monotonic()
                    self.on_delivered(letter.transaction.account_number, sent, answered)
                return
            self.counts["refused"] += 1
            if wait_s is not None:
                await self._clock.sleep(wait_s)
        self.counts["given_up"] += 1

    async def _post(self, letter: _Letter) -> int:
        if self._session is None or self.url is None:
            return 0
        headers = {"Content-Type": "application/json", "X-Lenco-Signature": letter.signature}
        try:
            async with self._session.post(
                self.url, data=letter.body, headers=headers, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            # Whether it arrived is not known; at least once means: send again.
            return 0


def _as_if(status: Status) -> dict[str, Any]:
    """The fields of a transaction that a snapshot in ``status`` would show."""
    return {"status": status.value, "failedAt": None, "reasonForFailure": None}
