"""Who is calling: LIVE's checks of a provider call, in LIVE's order (2.1, 2.2, 2.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from tidegate.clock import Clock
from tidegate.sandbox.aggregator.envelope import Reply, refused
from tidegate.sandbox.aggregator.judgement import Judge, Wrong
from tidegate.sandbox.aggregator.signing import (
    canonical,
    fits,
    parse_object,
    query_map,
    with_numeric_timestamp,
)

__all__ = ["Authentication"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NO_HEADER = refused(401, "Missing Authorization header")
_BAD_SCHEME = refused(401, "Invalid Authorization header")
_BAD_FORMAT = refused(401, "Invalid Authorization header format")
_BAD_PAYLOAD = refused(400, "Invalid payload format")
_NO_TIMESTAMP = refused(401, "Missing or invalid timestamp in payload")
_STALE = refused(401, "Invalid timestamp")
_BAD_ID = refused(400, "Invalid API key ID")
_UNKNOWN_ID = refused(401, "Invalid API key or token")
_BAD_SIGNATURE = refused(401, "Invalid HMAC signature")

_FUTURE_S = 60
_SECONDS_MAX = 100_000_000_000


class Authentication:
    """Checks calls against one client id and one secret."""

    def __init__(
        self, clock: Clock, judge: Judge, *, client_id: str, secret: bytes, timestamp_age_s: int
    ) -> None:
        self._clock = clock
        self._judge = judge
        self._client_id = client_id
        self.secret = secret
        self._timestamp_age_s = timestamp_age_s

    def check(
        self, header: str | None, *, key: str, body: bytes | None, query: str
    ) -> Reply | Mapping[str, Any]:
        """The verified fields, or the refusal. ``body`` is ``None`` for a GET.

        ``key`` names the call in a violation. The timestamp is still among the fields.
        """
        if header is None:
            return self._refuse(_NO_HEADER, Wrong.AUTHORIZATION, key, "no header")
        scheme, blank, credentials = header.partition(" ")
        if scheme != "HMAC" or not blank:
            return self._refuse(_BAD_SCHEME, Wrong.AUTHORIZATION, key, scheme)
        client_id, colon, signature = credentials.partition(":")
        if not colon:
            return self._refuse(_BAD_FORMAT, Wrong.AUTHORIZATION, key, "no colon")
        parsed: Mapping[str, Any] | None
        if body is None:
            parsed = query_map(parse_qsl(query, keep_blank_values=True))
        else:
            parsed = parse_object(body)
        if parsed is None:
            return self._refuse(_BAD_PAYLOAD, Wrong.PAYLOAD, key, "no JSON object")
        document, stamp = with_numeric_timestamp(parsed)
        if stamp is None:
            return self._refuse(_NO_TIMESTAMP, Wrong.TIMESTAMP_MISSING, key, "no timestamp")
        now_s = self._clock.now_ms() // 1000
        if now_s - int(stamp) > self._timestamp_age_s:
            return self._refuse(_STALE, Wrong.TIMESTAMP_STALE, key, f"{now_s - int(stamp)} s old")
        if client_id != self._client_id:
            if _UUID.fullmatch(client_id) is None:
                return self._refuse(_BAD_ID, Wrong.AUTHORIZATION, key, "client id is no UUID")
            return self._refuse(_UNKNOWN_ID, Wrong.AUTHORIZATION, key, "unknown client id")
        if fits(self.secret, signature, document, body) is None:
            return self._refuse(_BAD_SIGNATURE, Wrong.SIGNATURE, key, "HMAC does not fit")
        self._judge_form(parsed, document, stamp, now_s, key, body)
        return document

    def _refuse(self, reply: Reply, wrong: Wrong, key: str, detail: str) -> Reply:
        self._judge.record(wrong, key, detail)
        return reply

    def _judge_form(
        self,
        parsed: Mapping[str, Any],
        document: Mapping[str, Any],
        stamp: float,
        now_s: int,
        key: str,
        body: bytes | None,
    ) -> None:
        """What LIVE lets pass and a careful node still does not do."""
        if stamp > _SECONDS_MAX:
            self._judge.record(Wrong.TIMESTAMP_NOT_SECONDS, key, f"{stamp:.0f}")
        elif stamp > now_s + _FUTURE_S:
            self._judge.record(Wrong.TIMESTAMP_FUTURE, key, f"{stamp - now_s:.0f} s ahead")
        if body is None:
            return
        if isinstance(parsed["timestamp"], str):
            self._judge.record(Wrong.TIMESTAMP_TEXT, key, repr(parsed["timestamp"]))
        elif not _is_canonical(document, body):
            self._judge.record(Wrong.NOT_CANONICAL, key, body[:200].decode("utf-8", "replace"))


def _is_canonical(document: Mapping[str, Any], body: bytes) -> bool:
    try:
        return canonical(document) == body
    except ValueError:
        return False
