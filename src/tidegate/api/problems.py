"""From the error tree to HTTP: one table, and the node's envelope as its renderer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from tidegate.errors import (
    BadInput,
    BodyTooLarge,
    DuplicateOrder,
    InvalidAmount,
    InvalidSignature,
    NotAuthenticated,
    NotFound,
    PolicyRefusal,
    TidegateError,
    UnreadableBody,
    UnsupportedCurrency,
    UnsupportedMediaType,
    WriteRefused,
)
from tidegate.wire.replies import envelope

__all__ = ["STATUS", "error_envelope", "json_response", "status_of"]

# The nearest class of the tree decides.
STATUS: Final[Mapping[type[TidegateError], int]] = {
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    UnreadableBody: 400,
    BadInput: 400,
    InvalidAmount: 422,
    InvalidSignature: 401,
    NotAuthenticated: 401,
    UnsupportedCurrency: 422,
    DuplicateOrder: 409,
    PolicyRefusal: 422,
    NotFound: 404,
    WriteRefused: 503,
    TidegateError: 500,
}


def status_of(error: TidegateError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def json_response(body: bytes, status: int = 200) -> Response:
    """A JSON answer of ready bytes."""
    return Response(body, status, media_type="application/json")


def error_envelope(error: TidegateError, status: int | None = None) -> Response:
    """The node's envelope of an error: its sentence, and its code in ``data``."""
    body = envelope("error", error.detail, {"code": error.code})
    return json_response(body, status or status_of(error))
