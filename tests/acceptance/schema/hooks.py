"""What Schemathesis is told about this service, and the checks that are ours. Loaded by its run.

Four promises hold for every answer, whatever the document says of it: no server error but a
documented 503 (and the 501 of routes that a payout node does not offer), a request id, a problem
type whose page exists, and nothing of the inside in the body.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import itertools
import json
import os
import re
import time
from typing import Any
from urllib.parse import urljoin

import requests
import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure

from tests.acceptance.schema.narrowed import is_expected

_WISHES = itertools.count()
_INSIDE = re.compile(
    r"Traceback \(most recent|File \"[^\"]+\", line \d+|sqlalchemy|sqlite3?\.|asyncpg|"
    r"\.py\b|SELECT .+ FROM|INSERT INTO|site-packages|\bat 0x[0-9a-f]{6,}",
    re.IGNORECASE,
)


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """OAuth2 says how the token is got; how it travels is RFC 6750's bearer. Schemathesis tries
    to go without authentication only for schemes that say how they travel."""
    schemes = raw_schema["components"]["securitySchemes"]
    assert {each["type"] for each in schemes.values()} == {"oauth2"}
    for name in schemes:
        schemes[name] = {"type": "http", "scheme": "bearer"}


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Give most wishes a key of their own, and sign what the aggregator and the processors send,
    so that both get past the door."""
    headers = case.headers
    if headers and "Idempotency-Key" in headers and _is_positive(case, "HEADER"):
        number = next(_WISHES)
        # Every fifth key is a used one: the example's, or what was made up before.
        if number % 5:
            headers["Idempotency-Key"] = f"wish-{number}"
    sign = _SIGNS.get((case.method.upper(), case.path))
    # A request that is told to have no such header, or a wrong one, is left so.
    if os.environ.get("SIGNS") and sign is not None and _is_positive(case, "HEADER"):
        kwargs["auth"] = sign


@schemathesis.hook
def filter_failure(
    context: HookContext, failure: Failure, case: Case[Any], response: Response
) -> bool:
    return not is_expected(failure, case, response)


@schemathesis.check
def no_undocumented_server_error(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    documented = {"503", "501"} & set(case.operation.responses.status_codes)
    if response.status_code >= 500:
        assert str(response.status_code) in documented, f"answered {response.status_code}"


@schemathesis.check
def has_request_id(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    assert response.headers.get("x-request-id"), "the answer has no X-Request-ID"


@schemathesis.check
def problem_is_a_problem(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """RFC 9457 on every refusal under ``/api``, and the page of its type exists."""
    if response.status_code < 400 or not case.path.startswith("/api/"):
        return
    kind = response.headers["content-type"][0]
    assert kind == "application/problem+json", f"a refusal is {kind}"
    problem = json.loads(response.content)
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"][0]
    assert _resolves(urljoin(str(response.request.url), problem["type"])), problem["type"]


@schemathesis.check
def tells_nothing_of_the_inside(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    body = (response.content or b"").decode("utf-8", "replace")
    found = _INSIDE.search(body)
    # What the caller sent may come back to its owner, such as a description.
    if found is not None and response.status_code >= 400:
        raise AssertionError(f"the answer tells {found[0]!r}")


@functools.cache
def _resolves(url: str) -> bool:
    return requests.get(url, timeout=10).status_code == 200


def _is_positive(case: Case[Any], location: str) -> bool:
    """Whether what is sent there is meant to be right."""
    components = case.meta.components.items() if case.meta is not None else ()
    return not any(
        component.mode.is_negative for where, component in components if where.name == location
    )


def _live(request: requests.PreparedRequest) -> requests.PreparedRequest:
    key = os.environ["AGGREGATOR_SECRET_KEY"].encode()
    request.headers["X-Request-Signature"] = hmac.digest(key, _body(request), "sha256").hex()
    return request


def _spec(request: requests.PreparedRequest) -> requests.PreparedRequest:
    key, client = os.environ["AGGREGATOR_SECRET_KEY"].encode(), os.environ["AGGREGATOR_CLIENT_ID"]
    signature = hmac.digest(key, _body(request), "sha256").hex()
    request.headers["Authorization"] = f"HMAC {client}:{signature}"
    return request


def _lenco(request: requests.PreparedRequest) -> requests.PreparedRequest:
    key = hashlib.sha256(os.environ["LENCO_API_KEY"].encode()).hexdigest().encode()
    request.headers["X-Lenco-Signature"] = hmac.digest(key, _body(request), "sha512").hex()
    return request


def _stripe(request: requests.PreparedRequest) -> requests.PreparedRequest:
    key, now = os.environ["STRIPE_WEBHOOK_SECRET"].encode(), str(int(time.time()))
    signature = hmac.digest(key, now.encode() + b"." + _body(request), "sha256").hex()
    request.headers["Stripe-Signature"] = f"t={now},v1={signature}"
    return request


def _body(request: requests.PreparedRequest) -> bytes:
    """What travels, which is what is signed."""
    body = request.body or b""
    assert isinstance(body, str | bytes)
    return body.encode() if isinstance(body, str) else body


_SIGNS = {
    ("POST", "/new_order"): _live,
    ("POST", "/tx_status"): _live,
    ("POST", "/verify_account"): _live,
    ("POST", "/tx_refund"): _live,
    ("POST", "/request_authorization"): _live,
    ("POST", "/orders"): _spec,
    ("POST", "/webhooks/psp"): _lenco,
    ("POST", "/api/webhooks/stripe"): _stripe,
}
