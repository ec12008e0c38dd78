"""From the error tree to HTTP: one table, two renderers.

The node answers the aggregator's envelope; everything under ``/api`` answers problem details
(RFC 9457, contract "Errors").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import (
    AmountNotAllowed,
    BadInput,
    BodyTooLarge,
    CardDeclined,
    CardNumberRefused,
    ConfigurationError,
    Conflict,
    CurrencyNotEnabled,
    DataKeyMissing,
    DataUnreadable,
    DuplicateOrder,
    Forbidden,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    InvalidAmount,
    InvalidSignature,
    LedgerFault,
    NotAuthenticated,
    NotFound,
    PolicyRefusal,
    ProcessorFailed,
    ReceiverRefused,
    TidegateError,
    TooManyRequests,
    Unavailable,
    UnreadableBody,
    UnsupportedCurrency,
    UnsupportedMediaType,
    ValidationFailed,
    WeakPassword,
    WriteRefused,
)
from tidegate.observability.cards import mask_card_numbers
from tidegate.wire.replies import envelope

__all__ = [
    "PROBLEM_TYPE",
    "STATUS",
    "MethodNotAllowed",
    "error_envelope",
    "error_of_http",
    "error_of_validation",
    "json_response",
    "problem_headers",
    "problem_response",
    "problem_type",
    "status_of",
    "status_of_class",
]

PROBLEM_TYPE: Final = "application/problem+json"


class MethodNotAllowed(BadInput):
    """The path exists, but not with this method."""

    code = "method_not_allowed"
    sentence = "This address does not take this method."


# The nearest class of the tree decides.
STATUS: Final[Mapping[type[TidegateError], int]] = {
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    MethodNotAllowed: 405,
    UnreadableBody: 400,
    IdempotencyKeyRequired: 400,
    ValidationFailed: 422,
    CardNumberRefused: 422,
    IdempotencyKeyReused: 422,
    WeakPassword: 422,
    ReceiverRefused: 422,
    AmountNotAllowed: 422,
    CurrencyNotEnabled: 422,
    InvalidAmount: 422,
    BadInput: 400,
    InvalidSignature: 401,
    NotAuthenticated: 401,
    CardDeclined: 402,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    DuplicateOrder: 409,
    UnsupportedCurrency: 422,
    PolicyRefusal: 422,
    ProcessorFailed: 424,
    TooManyRequests: 429,
    Unavailable: 503,
    WriteRefused: 503,
    ConfigurationError: 500,
    DataKeyMissing: 500,
    DataUnreadable: 500,
    LedgerFault: 500,
    TidegateError: 500,
}

# What the framework refuses by itself, as an error of ours.
_OF_HTTP: Final[Mapping[int, type[TidegateError]]] = {
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
    503: Unavailable,
}
_NO_SUCH_ADDRESS = "There is nothing at this address."

# A 503 always says when to come back; this is when the error itself does not know.
_RETRY_AFTER_S = 5

# What may stand in a path as it is (RFC 3986, 3.3).
_PLAIN = "/:@!$&'()*+,;=~"

_FAULTS_MAX = 20
_FIELD_MAX = 120


def status_of(error: TidegateError) -> int:
    """The HTTP status of an error."""
    return status_of_class(type(error))


def status_of_class(kind: type[TidegateError]) -> int:
    """The HTTP status of all errors of a class."""
    return next(STATUS[each] for each in kind.__mro__ if each in STATUS)


def json_response(body: bytes, status: int = 200) -> Response:
    """A JSON answer of ready bytes."""
    return Response(body, status, media_type="application/json")


def error_envelope(error: TidegateError, status: int | None = None) -> Response:
    """The node's envelope of an error: its sentence, and its code in ``data``."""
    body = envelope("error", error.detail, {"code": error.code})
    return json_response(body, status or status_of(error))


def problem_response(request: Request, error: TidegateError, status: int | None = None) -> Response:
    """The problem details of an error (RFC 9457), with the headers that belong to it.

    ``status`` overrides the table where the contract does so for one route. Of an error of
    ours (a broken write, an inconsistent ledger) only the sentence of its class is told.
    """
    status = status or status_of(error)
    ours = status >= 500 and not isinstance(error, Unavailable)
    body: dict[str, Any] = {
        "type": problem_type(error.code),
        "title": error.sentence,
        "status": status,
        "detail": error.sentence if ours else error.detail,
        # A URI reference: what was sent percent-encoded is so again.
        "instance": quote(mask_card_numbers(request.url.path), safe=_PLAIN),
        "code": error.code,
        "request_id": getattr(request.state, "request_id", ""),
    }
    if isinstance(error, ValidationFailed):
        body["errors"] = error.errors
    for name, value in jsonable_encoder(getattr(error, "members", {})).items():
        body.setdefault(name, value)  # never in place of a standard member
    response = Response(json.dumps(body), status, media_type=PROBLEM_TYPE)
    response.headers.update(problem_headers(error, status))
    return response


def problem_type(code: str) -> str:
    """The URL path of the page about an error code, which is also its problem type."""
    return f"/docs/errors/{code.replace('_', '-')}"


def problem_headers(error: TidegateError, status: int) -> dict[str, str]:
    """The headers that an error's answer carries: when to retry, how to authenticate, limits."""
    headers = dict(getattr(error, "headers", {}))
    if status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    retry_after_s = getattr(error, "retry_after_s", _RETRY_AFTER_S if status == 503 else None)
    if retry_after_s is not None:
        headers.setdefault("Retry-After", str(retry_after_s))
    return headers


def error_of_http(error: HTTPException) -> TidegateError:
    """An error of ours for one that the framework raised; its status may be another class's."""
    kind = _OF_HTTP.get(error.status_code)
    if kind is None:
        kind = BadInput if error.status_code < 500 else TidegateError
    return kind(_NO_SUCH_ADDRESS if error.status_code == 404 else None)


def error_of_validation(error: RequestValidationError) -> TidegateError:
    """``UnreadableBody`` for a body that is no JSON, else ``ValidationFailed`` with every fault.

    A fault names its field by a dotted path; one that is not in the body begins with where it
    is: ``query.limit``, ``header.idempotency-key``, ``path.payment_id``. Values are not told.
    """
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return UnreadableBody()
    return ValidationFailed([_fault(each) for each in faults[:_FAULTS_MAX]])


def _fault(fault: Mapping[str, Any]) -> dict[str, str]:
    kind = str(fault["type"])
    # This one message repeats what was sent.
    known = kind == "union_tag_invalid"
    message = "Input is of no known kind" if known else str(fault["msg"])
    return {
        "field": _field(fault["loc"]),
        "code": kind,
        "message": message.removeprefix("Value error, "),
    }


def _field(place: Sequence[str | int]) -> str:
    inside = place[1:] if place[0] == "body" and len(place) > 1 else place
    # A member's name came from outside too.
    return mask_card_numbers(".".join(str(part) for part in inside))[:_FIELD_MAX]
