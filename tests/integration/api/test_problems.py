"""Errors over HTTP: problem details under /api, the node's envelope elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api.face import Face, opened

STANDARD = ["type", "title", "status", "detail", "instance", "code", "request_id"]


@pytest.mark.parametrize(
    ("name", "status", "code", "headers"),
    [
        ("declined", 402, "card_declined", {}),
        ("limited", 429, "too_many_requests", {"Retry-After": "7", "RateLimit": '"auth";r=0;t=7'}),
        ("running", 409, "request_still_running", {"Retry-After": "1"}),
        ("off", 503, "payments_off", {"Retry-After": "5"}),
        ("anonymous", 401, "not_authenticated", {"WWW-Authenticate": "Bearer"}),
        ("expired", 401, "invalid_token", {"WWW-Authenticate": "Bearer"}),
        ("floor", 503, "floor_broken", {"Retry-After": "5"}),
        ("bug", 500, "internal_error", {}),
        ("ours", 500, "internal_error", {}),
        ("database", 503, "unavailable", {"Retry-After": "5"}),
        ("refused-connection", 503, "unavailable", {"Retry-After": "5"}),
        ("invalid", 422, "validation_failed", {}),
        ("missing", 404, "not_found", {}),
    ],
)
async def test_an_error_is_problem_details(
    face: Face, name: str, status: int, code: str, headers: dict[str, str]
) -> None:
    """Every standard member, the headers that belong to it, and a type that resolves."""
    given = {"X-Request-ID": "caller-0001"}
    got, body, answered = await face.ask("GET", f"/api/faults/{name}", headers=given)
    assert (got, body["status"], body["code"]) == (status, status, code)
    assert answered["Content-Type"] == "application/problem+json"
    assert list(body)[: len(STANDARD)] == STANDARD
    assert body["instance"] == f"/api/faults/{name}"
    assert body["request_id"] == answered["X-Request-ID"] == "caller-0001"
    assert {each: answered[each] for each in headers} == headers
    page_status, page, _ = await face.ask("GET", body["type"])
    assert page_status == 200
    assert f"<code>{code}</code>" in page


@pytest.mark.parametrize("name", ["bug", "database", "refused-connection", "floor", "ours"])
async def test_nothing_leaks(face: Face, name: str) -> None:
    """No SQL, no secret, no address, no account and no trace of a stack."""
    _, body, _ = await face.ask("GET", f"/api/faults/{name}")
    told = str(body)
    for word in ("SELECT", "sk_live", "hunter2", "10.1.2.3", "lenco", "-17", "Traceback", ".py"):
        assert word not in told


async def test_further_members_stand_beside_the_standard_ones(face: Face) -> None:
    """The payment of a decline is told; no member takes the place of a standard one."""
    _, body, _ = await face.ask("GET", "/api/faults/declined")
    assert body["payment"] == {"id": "pay_1"}
    assert body["code"] == "card_declined"
    assert body["detail"] == "Not enough money."
    _, body, _ = await face.ask("GET", "/api/faults/invalid")
    assert body["errors"] == [{"field": "url", "code": "scheme", "message": "Write https"}]


async def test_the_node_keeps_its_envelope(face: Face) -> None:
    """The same errors outside of /api, and an unknown path, as the aggregator knows them."""
    status, body, headers = await face.ask("GET", "/faults/missing")
    assert (status, headers["Content-Type"]) == (404, "application/json")
    assert body == {
        "status": "error",
        "message": "There is nothing under this id.",
        "data": {"code": "not_found"},
    }
    status, body, headers = await face.ask("GET", "/faults/bug")
    assert (status, body["data"], "X-Request-ID" in headers) == (
        500,
        {"code": "internal_error"},
        True,
    )
    status, body, _ = await face.ask("GET", "/nowhere")
    assert (status, body["status"], body["data"]) == (404, "error", None)
    status, body, _ = await face.ask("GET", "/apinowhere")
    assert (status, body["status"]) == (404, "error")


async def test_what_the_framework_refuses_is_a_problem_too(face: Face) -> None:
    """An unknown address, and a method that an address does not take."""
    status, body, _ = await face.ask("GET", "/api/nowhere")
    assert (status, body["code"]) == (404, "not_found")
    status, body, headers = await face.ask("DELETE", "/api/samples-open/notes")
    assert (status, body["code"], headers["Allow"]) == (405, "method_not_allowed", "POST")


async def test_every_invalid_field_is_named_and_no_value_repeated(face: Face) -> None:
    """Dotted paths inside the body; queries and headers by where they are."""
    body = (
        '{"amount":0,"currency":"NGNX","capture_method":"odd-4711","metadata":{"a":4711},'
        '"lines":[{},"odd-4711"],"more":"odd-4711"}'
    )
    status, problem, _ = await face.post("/api/samples", body)
    assert (status, problem["code"]) == (422, "validation_failed")
    assert {(each["field"], each["code"]) for each in problem["errors"]} == {
        ("amount", "greater_than_equal"),
        ("currency", "string_too_long"),
        ("capture_method", "literal_error"),
        ("metadata.a", "string_type"),
        ("lines.1", "dict_type"),
        ("more", "extra_forbidden"),
    }
    assert "4711" not in str(problem)
    status, problem, _ = await face.ask("GET", "/api/samples?limit=4711")
    assert [each["field"] for each in problem["errors"]] == ["query.limit"]
    assert "4711" not in str(problem)
    status, problem, _ = await face.ask(
        "POST", "/api/samples", json={}, headers={"Idempotency-Key": "k" * 256}
    )
    assert {each["field"] for each in problem["errors"]} == {
        "header.idempotency-key",
        "amount",
        "currency",
    }
    status, problem, _ = await face.ask("POST", "/api/samples")
    assert (status, [each["field"] for each in problem["errors"]]) == (422, ["body"])


async def test_every_answer_protects_itself(face: Face) -> None:
    """No sniffing, no framing, no referrer; nothing of the API is stored on the way."""
    for path in ("/api/samples", "/api/faults/bug", "/health-is-not-here", "/docs/errors/"):
        _, _, headers = await face.ask("GET", path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert len(headers.getall("Content-Security-Policy")) == 1
        assert headers.get("Cache-Control") == ("no-store" if path[:4] == "/api" else None)
        assert headers["X-Request-ID"].startswith("req_")


@pytest.mark.parametrize("given", ["", "x" * 65, "with blank", "4242-4242-4242-4242"])
async def test_an_odd_request_id_is_not_taken_over(face: Face, given: str) -> None:
    """Empty, too long, other characters, or a card number."""
    _, body, headers = await face.ask("GET", "/api/nowhere", headers={"X-Request-ID": given})
    assert headers["X-Request-ID"] == body["request_id"] != given


async def test_a_short_request_id_is_taken_over(face: Face) -> None:
    """A caller may number its requests."""
    _, body, headers = await face.ask("GET", "/api/nowhere", headers={"X-Request-ID": "7"})
    assert headers["X-Request-ID"] == body["request_id"] == "7"


async def test_no_origin_may_call_when_none_is_listed(face: Face) -> None:
    """Closed by default."""
    _, _, headers = await face.ask("GET", "/api/samples", headers={"Origin": "https://a.example"})
    assert _cors(headers) == {}


async def test_only_listed_origins_may_call() -> None:
    """With credentials and the headers a client reads; to others there is no CORS at all."""
    ours, other = {"Origin": "https://shop.example"}, {"Origin": "https://evil.example"}
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    async with opened(["https://shop.example"]) as face:
        status, _, headers = await face.ask("OPTIONS", "/api/samples", headers=ours | asks)
        assert (status, "X-Request-ID" in headers) == (200, True)
        assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert headers["Access-Control-Allow-Credentials"] == "true"
        for path in ("/api/samples", "/api/faults/bug"):
            _, _, headers = await face.ask("GET", path, headers=ours)
            assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
            exposed = headers["Access-Control-Expose-Headers"]
            for name in ("X-Request-ID", "Retry-After", "Idempotent-Replayed", "RateLimit"):
                assert name in exposed.split(", ")
        for method, more in (("GET", {}), ("OPTIONS", asks)):
            status, _, headers = await face.ask(method, "/api/samples", headers=other | more)
            assert _cors(headers) == {}
            assert status == (405 if more else 200)
        _, _, headers = await face.ask("GET", "/faults/missing", headers=ours)
        assert _cors(headers) == {}


def _cors(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("Access-Control")}
