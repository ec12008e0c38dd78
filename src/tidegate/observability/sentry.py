"""Errors to Sentry: what is logged as one, with its ids, and nothing else (D7). Off by default.

A processor of the log hands over every line of the level *error*: the word, the exception's class
and redacted sentence, where it was raised, and the ids that stand on the line. No body, no header,
no local variable, no line of source, no name of the machine: :func:`_only` builds what is sent anew
from what may be sent, instead of taking out what may not.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from tidegate.observability.redaction import redact_event

__all__ = ["report", "start", "stop"]

_LEVELS: Final = frozenset({"error", "critical"})
_TAGS: Final = (
    *("request_id", "order_id", "payout_id", "attempt_id", "payment_id", "refund_id"),
    *("dispute_id", "endpoint_id", "inbox_id", "work", "kind", "id", "code"),
)
_KEPT: Final = ("event_id", "timestamp", "platform", "level", "release", "environment")
_FRAME: Final = ("filename", "function", "lineno", "module", "in_app")
_STOP_S: Final = 2.0

_sdk: Any = None


def start(dsn: str, environment: str, release: str) -> None:
    """Raises ``ImportError`` without the extra ``sentry``, ``ValueError`` for a DSN that is
    none."""
    global _sdk
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=f"tidegate@{release}",
        # None of them: they would hook into frameworks and take requests and variables along.
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        before_send=_only,
    )
    _sdk = sentry_sdk


def stop() -> None:
    """Send what is waiting, some seconds at most."""
    global _sdk
    sdk, _sdk = _sdk, None
    if sdk is not None:
        sdk.get_client().close(timeout=_STOP_S)


def report(_logger: Any, method: str, event: Any) -> Any:
    """A processor of the log; looks at one name while Sentry is off."""
    if _sdk is None or event.get("level", method) not in _LEVELS:
        return event
    with _sdk.new_scope() as scope:
        scope.set_tag("event", str(event.get("event", ""))[:200])
        for name in _TAGS:
            if name in event:
                scope.set_tag(name, str(event[name]))
        error = _exception(event.get("exc_info"))
        if error is None:
            _sdk.capture_message(str(event.get("event", "")), level="error")
        else:
            _sdk.capture_exception(error)
    return event


def _exception(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given else None


def _only(event: Any, _hint: Any) -> Any:
    """What may be sent of an event, every sentence redacted as in the log."""
    kept = {name: event[name] for name in _KEPT if name in event}
    kept["tags"] = {name: _said(value) for name, value in (event.get("tags") or {}).items()}
    if "message" in event:
        kept["message"] = _said(event["message"])
    values = (event.get("exception") or {}).get("values") or []
    if values:
        kept["exception"] = {"values": [_raised(value) for value in values]}
    return kept


def _raised(value: Mapping[str, Any]) -> dict[str, Any]:
    frames = (value.get("stacktrace") or {}).get("frames") or []
    return {
        "type": value.get("type"),
        "module": value.get("module"),
        "value": _said(value.get("value") or ""),
        "stacktrace": {
            "frames": [{name: frame.get(name) for name in _FRAME} for frame in frames],
        },
    }


def _said(text: Any) -> str:
    redacted = redact_event(None, "", {"error": str(text)})
    return str(redacted["error"])
