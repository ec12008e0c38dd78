"""The header ``Idempotency-Key``, and answers that may be stored ones (payments.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from tidegate.db.idempotency import fingerprint_of
from tidegate.errors import (
    CardDeclined,
    IdempotencyKeyRequired,
    ProcessorFailed,
    TidegateError,
)
from tidegate.payments.answers import REFUSALS, Answer
from tidegate.payments.keys import Asked

__all__ = ["KEY_OPTIONAL", "KEY_REQUIRED", "REPLAYED", "answered", "asked", "asked_if_given"]

REPLAYED: Final = "Idempotent-Replayed"

_HEADER: Final = "Idempotency-Key"
_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,255}")
_ERRORS: Final[Mapping[str, type[TidegateError]]] = {
    CardDeclined.code: CardDeclined,
    ProcessorFailed.code: ProcessorFailed,
    **{error.code: error for error in REFUSALS},
}


def _parameter(required: bool, description: str) -> dict[str, Any]:
    return {
        "parameters": [
            {
                "name": _HEADER,
                "in": "header",
                "required": required,
                "description": description,
                "schema": {"type": "string", "pattern": f"^{_VISIBLE.pattern}$"},
                "example": "order-1042-first-try",
            }
        ]
    }


KEY_REQUIRED: Final = _parameter(
    True,
    "1 to 255 visible characters, a new one for each new wish. The same key and request again get "
    "the stored answer, whatever happened in between.",
)
KEY_OPTIONAL: Final = _parameter(
    False, "As with other writes; it may be left out here, because no money moves."
)


def asked(request: Request, user_id: str) -> Asked:
    """The request as its idempotency key knows it. Raises ``IdempotencyKeyRequired`` for a
    missing key and for one that is none."""
    found = asked_if_given(request, user_id)
    if found is None:
        raise IdempotencyKeyRequired()
    return found


def asked_if_given(request: Request, user_id: str) -> Asked | None:
    """The same, ``None`` without a key."""
    key = request.headers.get(_HEADER)
    if key is None:
        return None
    if _VISIBLE.fullmatch(key) is None:
        raise IdempotencyKeyRequired()
    route = f"{request.method} {request.scope['route'].path}"
    parsed = request.state.parsed if request.state.parsed is not None else {}
    return Asked(user_id, route, key, fingerprint_of(request.method, request.url.path, parsed))


def answered(answer: Answer) -> Response:
    """The HTTP answer. Raises the error that an answer with a code is."""
    headers = {REPLAYED: "true"} if answer.replayed else {}
    if answer.code is not None:
        raise _error(answer, headers)
    return Response(
        json.dumps(answer.body), answer.status, headers=headers, media_type="application/json"
    )


def _error(answer: Answer, headers: dict[str, str]) -> TidegateError:
    body = answer.body
    kind = _ERRORS[answer.code or ""]
    if "object" not in body:
        return kind(body["detail"], headers=headers)
    failure = body.get("failure")
    detail = failure.get("message") if isinstance(failure, dict) else failure
    return kind(detail, members={str(body["object"]): body}, headers=headers)
