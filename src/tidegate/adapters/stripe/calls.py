"""What every verb shares: one request within the time limit, its end read, our ids in metadata."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import stripe

from tidegate.adapters.stripe.client import Connection, Send
from tidegate.adapters.stripe.listing import AskPage, find_ours
from tidegate.adapters.stripe.outcomes import end_of
from tidegate.adapters.stripe.reading import read_intent
from tidegate.clock import Clock, Randomness
from tidegate.ports.cards import Declined, Found, Intent, Missing, NotSent, Refused, Unknown

__all__ = ["Calls", "Ended"]

_WORD: Final = re.compile(r"[a-z_]+")

Ended = Found | Declined | Refused | NotSent | Unknown


class Calls:
    """One account at Stripe. ``timeout_s`` is for a whole verb."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        randomness: Randomness,
        *,
        node_id: str,
        publishable_key: str | None,
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._randomness = randomness
        self._node_id = node_id
        self._publishable_key = publishable_key
        self._timeout_s = timeout_s

    async def _ask(
        self,
        verb: str,
        send: Send,
        read: Callable[[Any], Any],
        timeout_s: float | None = None,
    ) -> Ended:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        said = await self._connection.call(verb, send, limit_s)
        return end_of(said, read, self._read_intent)

    async def _ask_plainly_if_must(
        self,
        verb: str,
        send: Callable[[stripe.StripeClient, bool], Awaitable[object]],
        read: Callable[[Any], Any],
        extras: Sequence[str],
    ) -> Ended:
        """Ask with the parameters named in ``extras``, and without them if one is refused.

        ``send`` gets whether to leave them out. A double that does not know a parameter (as
        ``localstripe``) refuses it by name. Repeating is safe: a request that failed validation
        did nothing and its answer is not stored, and the key is the same (processor.md 1).
        """
        deadline = self._clock.monotonic() + self._timeout_s
        ended = await self._ask(verb, lambda sdk: send(sdk, False), read)
        if not isinstance(ended, Refused) or ended.exchange.status != 400 or ended.intent:
            return ended
        named = set(_WORD.findall(ended.message))
        if ended.code == "idempotency_error" or named.isdisjoint(extras):
            return ended
        left_s = deadline - self._clock.monotonic()
        again = await self._ask(verb, lambda sdk: send(sdk, True), read, left_s)
        # The first refusal was stored after all, so it was about something else: it stands.
        stored = isinstance(again, Refused) and again.code == "idempotency_error"
        return ended if stored else again

    async def _find(
        self, verb: str, ask: AskPage, key: str, value: str, read: Callable[[Any], Any]
    ) -> Found | Missing | Refused | NotSent | Unknown:
        return await find_ours(
            self._connection,
            self._clock,
            verb,
            ask,
            key=key,
            value=value,
            read=read,
            timeout_s=self._timeout_s,
        )

    def _read_intent(self, tree: object) -> Intent:
        return read_intent(tree, self._publishable_key)

    def _metadata(self, **ours: str) -> dict[str, str]:
        named: Mapping[str, str] = {f"tidegate_{name}": value for name, value in ours.items()}
        return {**named, "tidegate_node": self._node_id}
