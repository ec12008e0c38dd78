"""Turning a call and its end into the row that is kept of it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from tidegate.adapters.http import Answer, Failure, Method
from tidegate.db.exchanges import Exchange
from tidegate.observability.redaction import redact_exchange

__all__ = ["TEXT_MAX", "exchange_of", "storable"]

TEXT_MAX: Final = 4096

# Redacting means reading the whole text; beyond this it is a list, and nobody's story needs it.
_READ_MAX: Final = 65_536


def exchange_of(
    counterparty: str,
    verb: str,
    method: Method,
    url: str,
    body: bytes | None,
    ended: Answer | Failure,
    started_ms: int,
) -> Exchange:
    """Redact and cut. Request headers, where tokens and signatures are, never come near it."""
    parts = urlsplit(url)
    if isinstance(ended, Answer):
        status, response, error = ended.status, _body(ended.body), None
    else:
        status, response, error = None, ended.why, ended.kind.value
    return Exchange(
        counterparty=counterparty,
        verb=verb,
        method=method,
        path=_redacted(f"{parts.path}?{parts.query}" if parts.query else parts.path),
        request=_body(body or b""),
        status=status,
        response=storable(response),
        error=error,
        started_ms=started_ms,
        took_ms=ended.took_ms,
    )


def _body(body: bytes) -> str:
    if not body:
        return ""
    if len(body) > _READ_MAX:
        return f"[{len(body)} bytes]"
    return storable(_redacted(body.decode("utf-8", "replace")))[:TEXT_MAX]


def storable(text: str) -> str:
    """What every database text can hold: no U+0000, no half of a surrogate pair.

    A text that cannot be stored would fail the commit of the outcome it came with, each time.
    """
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def _redacted(text: str) -> str:
    redacted = redact_exchange(text)
    return redacted if isinstance(redacted, str) else str(redacted)
