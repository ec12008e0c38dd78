"""The line to the aggregator: stamps, signs and sends each try of a turn.

Source: ``contracts/aggregator.md`` 2.1 to 2.3 and 4. The bytes that are signed are the bytes that
are sent; each try carries the time at which it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from tidegate.adapters.exchanges import exchange_of
from tidegate.adapters.http import Answer, Failure, HttpClient, Method
from tidegate.adapters.tries import retry_after_s, with_tries
from tidegate.adapters.turns import Turn
from tidegate.clock import Clock, Randomness
from tidegate.wire.address import provider_url
from tidegate.wire.answers import parse_answer
from tidegate.wire.canonical import NumberToken
from tidegate.wire.signature import authorization, query_message

__all__ = ["Line"]

_RETRY_AFTER_S_MAX: Final = 3600.0

# What one try is: the address, the bytes that are signed, the bytes that are sent.
_Try = Callable[[int], tuple[str, bytes, bytes | None]]


class Line:
    """One client id and its secret at one aggregator. :meth:`close` closes ``http``."""

    def __init__(
        self,
        base_url: str,
        client_id: str,
        secret: str,
        http: HttpClient,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._base_url = base_url
        self._client_id = client_id
        self._secret = secret
        self._http = http
        self._clock = clock
        self._randomness = randomness

    async def post(
        self,
        turn: Turn,
        path: str,
        build: Callable[[int], bytes],
        *,
        time_s: float | None = None,
    ) -> None:
        """Say the turn; ``build`` makes the body for a time in Unix seconds."""
        url = provider_url(self._base_url, "v1", path)

        def one(now_s: int) -> tuple[str, bytes, bytes | None]:
            body = build(now_s)
            return url, body, body

        await self._run(turn, "POST", one, turn.verb.time_s if time_s is None else time_s)

    async def get(self, turn: Turn, path: str, query: Mapping[str, str] | None = None) -> None:
        """Ask; the query, ``timestamp`` included, is what is signed."""
        url = provider_url(self._base_url, "v1", path)

        def one(now_s: int) -> tuple[str, bytes, bytes | None]:
            spelt = urlencode({**(query or {}), "timestamp": str(now_s)})
            return f"{url}?{spelt}", query_message(spelt), None

        await self._run(turn, "GET", one, turn.verb.time_s)

    async def close(self) -> None:
        await self._http.close()

    async def _run(self, turn: Turn, method: Method, one: _Try, time_s: float) -> None:
        async def call(left_s: float) -> Answer | Failure:
            started_ms = self._clock.now_ms()
            url, signed, body = one(started_ms // 1000)
            headers = {"Authorization": authorization(self._client_id, self._secret, signed)}
            if body is not None:
                headers["Content-Type"] = "application/json"
            ended = await self._http.request(
                method,
                url,
                headers=headers,
                body=body,
                timeout_s=min(turn.verb.time_s, left_s),
            )
            turn.exchanges.append(
                exchange_of(self._http.name, turn.name, method, url, body, ended, started_ms)
            )
            turn.take(ended, self._asked_s(ended))
            return ended

        await with_tries(
            call,
            budget_s=time_s,
            again=lambda ended, number: turn.again,
            asked_s=lambda ended: turn.retry_after_s,
            clock=self._clock,
            randomness=self._randomness,
        )

    def _asked_s(self, ended: Answer | Failure) -> float | None:
        """How long a 429 wants to be left alone: its header, or ``data.retry_after`` (1)."""
        if isinstance(ended, Failure) or ended.status not in (429, 503):
            return None
        asked = retry_after_s(ended.headers, self._clock)
        data = parse_answer(ended.status, ended.body).data
        within = data.get("retry_after") if isinstance(data, dict) else None
        if asked is None and isinstance(within, NumberToken):
            asked = max(0.0, float(within.text))
        return None if asked is None else min(asked, _RETRY_AFTER_S_MAX)
