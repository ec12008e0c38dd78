"""The OpenAPI document and the pages that show it, all from this machine (B12).

A router describes its operations with :func:`problems` and :func:`answer`; what holds for all of
them (problem schema, request id, the framework's own 422) is put in here once.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.security import OAuth2PasswordBearer
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from tidegate import __version__
from tidegate.api.middleware import in_api
from tidegate.api.openapi_node import NODE_OPERATIONS
from tidegate.api.problems import PROBLEM_TYPE, problem_type, status_of_class
from tidegate.errors import (
    BodyTooLarge,
    TidegateError,
    Unavailable,
    UnreadableBody,
    UnsupportedMediaType,
    ValidationFailed,
)

__all__ = ["DESCRIPTION", "Application", "answer", "bearer", "problems"]

DESCRIPTION: Final[Mapping[str, Any]] = {
    "title": "Tidegate",
    "version": __version__,
    "summary": "Money out and money in, on one ledger.",
    "description": (
        "A payout provision node, and a payment API under `/api`.\n\n"
        "The payment API takes and gives JSON in snake_case, times as RFC 3339 in UTC, amounts as "
        "integers in minor units. Errors are problem details (RFC 9457); every code has a page "
        "under [/docs/errors/](/docs/errors/). Every answer carries `X-Request-ID`, the caller's "
        "own if it sent one of 1 to 64 letters, digits, dots, hyphens and underscores."
    ),
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "servers": [{"url": "/", "description": "This node"}],
    "openapi_tags": [
        {"name": "payments", "description": "Charge, capture, cancel, refund, follow."},
        {"name": "payment methods", "description": "Tokens of the processor; never card numbers."},
        {"name": "accounts", "description": "Register, log in, sessions."},
        {"name": "webhook endpoints", "description": "Where this service tells about payments."},
        {"name": "webhooks", "description": "What processors tell this service."},
        {"name": "operators", "description": "What only operators may do."},
        {"name": "provision node", "description": "The aggregator's calls and the PSPs' webhooks."},
        {"name": "operations", "description": "Health for machines."},
    ],
}

bearer = OAuth2PasswordBearer(
    tokenUrl="/api/auth/token",
    scheme_name="accessToken",
    description="The access token of a session, as `Authorization: Bearer <token>`.",
    auto_error=False,
)
"""The security scheme, as a dependency that yields the token or ``None``."""


def problems(*errors: type[TidegateError]) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of an operation that may answer these errors, with an example of each."""
    found: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        status = status_of_class(error)
        one = found.setdefault(status, _problem_response(status))
        examples = one["content"][PROBLEM_TYPE]["examples"]
        examples[error.code] = {"summary": error.sentence, "value": _example(error, status)}
    return found


def answer(
    status: int, description: str, example: Any, headers: Mapping[str, str] | None = None
) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of a success: what it means, an example, and headers by their meaning."""
    told = {
        name: {"description": text, "schema": {"type": "string"}}
        for name, text in (headers or {}).items()
    }
    content = {} if example is None else {"application/json": {"example": example}}
    return {status: {"description": description, "content": content, "headers": told}}


class Application(FastAPI):
    """The framework's application with our document and our pages."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**DESCRIPTION, docs_url=None, redoc_url=None, **given)
        self.mount(_ASSETS, StaticFiles(directory=str(files(fastapi_offline) / "static")))
        for path, page in ((_DOCS, _swagger(self.title)), (_REDOC, _redoc(self.title))):
            self.add_api_route(path, _serve(page), include_in_schema=False)

    def openapi(self) -> dict[str, Any]:
        """The document; made once, and again only after a route was added."""
        before = self.openapi_schema
        document = super().openapi()
        if document is not before:
            _complete(document)
        return document


# The guard refuses texts that cannot be stored, wherever they stand; the database may be away.
_EVERYWHERE: Final = (ValidationFailed, Unavailable)
_OF_BODIES: Final = (UnreadableBody, BodyTooLarge, UnsupportedMediaType)

_DOCS, _REDOC, _ASSETS = "/docs", "/redoc", "/docs/assets"


def _serve(page: HTMLResponse) -> Any:
    async def serve() -> HTMLResponse:
        return page

    return serve


def _swagger(title: str) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=title,
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon.png",
        # Else the page would ask a validator elsewhere about the document.
        swagger_ui_parameters={"validatorUrl": None},
    )
    return _guard(page)


def _redoc(title: str) -> HTMLResponse:
    page = get_redoc_html(
        openapi_url="/openapi.json",
        title=title,
        redoc_js_url=f"{_ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{_ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    return _guard(page)


def _guard(page: HTMLResponse) -> HTMLResponse:
    """Forbid the page everything but its own scripts, styles and this node."""
    inline = re.findall(r"<script>(.*?)</script>", bytes(page.body).decode(), re.DOTALL)
    digests = [base64.b64encode(sha256(each.encode()).digest()).decode() for each in inline]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    page.headers["content-security-policy"] = (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page


def _complete(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    components.setdefault("headers", {}).update(_HEADERS)
    for path, method, operation in _operations(document):
        told = deepcopy(dict(NODE_OPERATIONS.get((method, path), {})))
        told["parameters"] = operation.get("parameters", []) + told.get("parameters", [])
        operation.update(told)
        responses = operation["responses"]
        if _is_frameworks(responses.get("422")):
            # The framework documents an answer of its own, which this service does not give.
            del responses["422"]
        if in_api(path):
            _add(responses, *_EVERYWHERE)
            if "requestBody" in operation:
                _add(responses, *_OF_BODIES)
                _without_null(operation["requestBody"])
            elif method != "get":
                _add(responses, BodyTooLarge)
        operation["responses"] = responses = dict(sorted(responses.items()))
        for response in responses.values():
            response.setdefault("headers", {})["X-Request-ID"] = {
                "$ref": "#/components/headers/X-Request-ID"
            }
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _add(responses: dict[str, Any], *errors: type[TidegateError]) -> None:
    """Tell of further errors, beside those that a router names."""
    for status, response in problems(*errors).items():
        there = responses.setdefault(str(status), response)
        for kind, content in response["content"].items():
            told = there["content"].setdefault(kind, content)
            told["examples"] = {**content["examples"], **told["examples"]}


def _without_null(body: dict[str, Any]) -> None:
    """A body that may be left out is not one that may be ``null``: a body is an object."""
    for content in body["content"].values():
        kinds = content["schema"].get("anyOf", [])
        if {"type": "null"} in kinds:
            (content["schema"],) = [kind for kind in kinds if kind != {"type": "null"}]


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _is_frameworks(response: Mapping[str, Any] | None) -> bool:
    return response is not None and "HTTPValidationError" in str(response.get("content"))


def _problem_response(status: int) -> dict[str, Any]:
    names: Sequence[str] = _HEADERS_OF.get(status, ())
    return {
        "description": HTTPStatus(status).phrase,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
        },
    }


def _example(error: type[TidegateError], status: int) -> dict[str, Any]:
    found = {
        "type": problem_type(error.code),
        "title": error.sentence,
        "status": status,
        "detail": error.sentence,
        "instance": "/api/payments",
        "code": error.code,
        "request_id": "req_01jd8m3q7v5x2n9c4t6b8r0w1z",
    }
    if issubclass(error, ValidationFailed):
        fault = {"field": "amount", "code": "missing", "message": "Field required"}
        return {**found, "errors": [fault]}
    return found


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


_PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "Problem details (RFC 9457). Further members depend on the code.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": _text("The path of the page about this code.", format="uri-reference"),
        "title": _text("What the code means, always the same sentence."),
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": _text("What is special this time."),
        "instance": _text("The path that was asked.", format="uri-reference"),
        "code": _text("Stable; made to be compared."),
        "request_id": _text("The id of this answer in the service's logs."),
        "errors": {
            "type": "array",
            "description": "The faults of `validation_failed`, one for each field.",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": _text("A dotted path."),
                    "code": _text("The kind of fault."),
                    "message": _text("The fault as a sentence."),
                },
            },
        },
        "payment": {
            "type": "object",
            "description": "The payment as it stands now, after a decline.",
        },
    },
}
_HEADERS: Final[Mapping[str, Any]] = {
    "X-Request-ID": {
        "required": True,
        "description": "The caller's id of the request if it sent a sane one, else ours.",
        "schema": {"type": "string"},
        "example": "req_01jd8m3q7v5x2n9c4t6b8r0w1z",
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "schema": {"type": "integer"},
        "example": 5,
    },
    "WWW-Authenticate": {
        "required": True,
        "description": "How to authenticate.",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
}
_HEADERS_OF: Final[Mapping[int, Sequence[str]]] = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
