"""Idempotency keys as API v1 treats them (processor.md 1).

The first status and body of a key are kept once its endpoint began to run, 500s included, and
given again. A key is bound to its path and parameters; after a day it is forgotten, and the same
request then acts again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from tidegate.clock import Clock
from tidegate.sandbox.cards.refusals import Refusal

__all__ = ["Keys", "Stored"]

_LONGEST = 255


@dataclass(slots=True)
class Stored:
    """A first answer; ``status`` is 0 while the request is still running."""

    fingerprint: str
    request_id: str
    since_ms: int
    status: int = 0
    body: bytes = b""


class Keys:
    """Keys in the order they were first seen."""

    def __init__(self, clock: Clock, keep_s: float) -> None:
        self._clock = clock
        self._keep_ms = round(keep_s * 1000)
        self._stored: OrderedDict[str, Stored] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stored)

    def begin(self, key: str, fingerprint: str, request_id: str) -> Stored | None:
        """The first answer, or ``None`` when this is the first request and it may go on.

        Raises :class:`Refusal`: 400 for another request under the same key, 409 while the first
        one is running.
        """
        self._prune()
        if len(key) > _LONGEST:
            raise Refusal(f"An idempotency key has at most {_LONGEST} characters")
        first = self._stored.get(key)
        if first is None:
            self._stored[key] = Stored(fingerprint, request_id, self._clock.now_ms())
            return None
        if first.fingerprint != fingerprint:
            raise Refusal(
                f"The key {key} was first used with another endpoint or other parameters",
                kind="idempotency_error",
            )
        if not first.status:
            raise Refusal(
                f"A request with the key {key} is still running",
                status=409,
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        return first

    def keep(self, key: str, status: int, body: bytes) -> None:
        """This is the answer from now on."""
        stored = self._stored[key]
        stored.status, stored.body = status, body

    def forget(self, key: str) -> None:
        """Nothing began: the key is as good as new."""
        self._stored.pop(key, None)

    def _prune(self) -> None:
        oldest_ms = self._clock.now_ms() - self._keep_ms
        while self._stored:
            first = next(iter(self._stored.values()))
            if first.since_ms > oldest_ms or not first.status:
                return
            self._stored.popitem(last=False)
