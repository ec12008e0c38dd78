"""What every request passes before the framework reads it."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.integration.api.face import Face
from tidegate.api.body import BODY_MAX

GOOD = '{"amount":1999,"currency":"NGN"}'
CARD = "4242424242424242"


async def test_a_good_body_reaches_the_handler_and_stays_reachable(face: Face) -> None:
    """The model is made of the very value that is kept for the fingerprint."""
    status, body, _ = await face.post("/api/samples", GOOD)
    assert (status, body) == (201, {"id": "pay_1", "parsed": {"amount": 1999, "currency": "NGN"}})
    status, body, _ = await face.post("/api/samples", GOOD, "application/vnd.shop+json")
    assert status == 201
    status, body, _ = await face.ask("POST", "/api/samples/pay_1/cancel")
    assert (status, body) == (200, {"id": "pay_1", "parsed": None})
    status, text, _ = await face.ask("GET", "/api/samples/pay_1/stream")
    assert (status, text) == (200, "data: 1\n\ndata: 2\n\n")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '"text"',
        "null",
        GOOD + "x",
        "\ufeff" + GOOD,
        b'{"currency":"\xff"}',
        '{"amount":NaN}',
        '{"amount":Infinity}',
        '{"amount":-Infinity}',
        '{"amount":1e999}',
        '{"amount":' + "9" * 41 + "}",
        '{"amount":' + "9" * 5000 + "}",
        '{"amount":0.' + "1" * 50 + "}",
        '{"amount":1,"amount":2}',
        '{"metadata":{"a":"1","\\u0061":"2"}}',
        "[" * 60_000,
        '{"lines":' + "[" * 33 + "]" * 33 + "}",
    ],
    ids=lambda body: str(body)[:24],
)
async def test_what_is_no_strict_json_object_is_unreadable(face: Face, body: bytes | str) -> None:
    """Not JSON, not an object, not UTF-8, a member twice, numbers or nesting beyond measure."""
    status, problem, _ = await face.post("/api/samples", body)
    expected = (422, "validation_failed") if not body else (400, "unreadable_body")
    assert (status, problem["code"]) == expected


async def test_a_body_is_at_most_64_kib(face: Face) -> None:
    """Announced or not, with a model, a form, raw or unread."""
    big = b'{"description":"' + b"a" * BODY_MAX + b'"}'
    for path in ("/api/samples", "/api/samples-open/notes", "/api/samples/pay_1/cancel"):
        status, problem, _ = await face.post(path, big)
        assert (status, problem["code"]) == (413, "body_too_large")

    async def chunks() -> Any:
        for start in range(0, len(big), 4096):
            yield big[start : start + 4096]

    try:
        status, problem, _ = await face.ask("POST", "/api/samples-open/raw", data=chunks())
        assert (status, problem["code"]) == (413, "body_too_large")
    except aiohttp.ClientConnectionError:
        pass  # the connection was closed while the rest was still being sent
    just = b'{"amount":1,"currency":"NGN","more":"' + b"a" * (BODY_MAX - 39) + b'"}'
    assert len(just) == BODY_MAX
    status, problem, _ = await face.post("/api/samples", just)
    assert problem["errors"][0]["code"] == "extra_forbidden"


@pytest.mark.parametrize("kind", ["text/plain", "image/svg+json", "application/xml", ""])
async def test_a_body_of_another_type_is_refused(face: Face, kind: str) -> None:
    """JSON where JSON is read, a form where a form is read."""
    status, problem, _ = await face.ask(
        "POST",
        "/api/samples",
        data=GOOD.encode(),
        headers={"Content-Type": kind},
        skip_auto_headers=["Content-Type"],
    )
    assert (status, problem["code"]) == (415, "unsupported_media_type")
    status, problem, _ = await face.post("/api/samples-open/token", GOOD)
    assert (status, problem["code"]) == (415, "unsupported_media_type")


async def test_a_form_is_read_where_a_form_belongs(face: Face) -> None:
    """The token endpoint takes the OAuth2 form, so that the documentation can log in."""
    form = "grant_type=password&username=ada%40shop.example&password=a+b"
    kind = "application/x-www-form-urlencoded"
    status, body, _ = await face.post("/api/samples-open/token", form, kind)
    assert (status, body) == (200, {"username": "ada@shop.example"})
    status, problem, _ = await face.post("/api/samples-open/token", form + "%00", kind)
    assert (status, problem["errors"][0]["code"]) == (422, "unstorable_character")


async def test_raw_bytes_stay_raw(face: Face) -> None:
    """A route without a model gets the very bytes, whatever they are."""
    status, body, _ = await face.post(
        "/api/samples-open/raw", b'\xff\x00{"a":1,"a":2}', "text/plain"
    )
    assert (status, bytes.fromhex(body["hex"])) == (200, b'\xff\x00{"a":1,"a":2}')


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"description":"a\\u0000b"}', "description"),
        ('{"description":"a\\ud800b"}', "description"),
        ('{"metadata":{"a\\u0000":"b"}}', "metadata.a\ufffd"),
        ('{"lines":[{"x":["\\udfff"]}]}', "lines.0.x.0"),
    ],
)
async def test_a_text_that_no_database_stores_is_refused(face: Face, body: str, field: str) -> None:
    """U+0000 and halves of surrogate pairs, in values and in names, anywhere."""
    status, problem, _ = await face.post("/api/samples", body)
    assert status == 422
    assert [(each["field"], each["code"]) for each in problem["errors"]] == [
        (field, "unstorable_character")
    ]


async def test_a_query_or_path_that_no_database_stores_is_refused(face: Face) -> None:
    """As a fault of the query; under such a path there is nothing."""
    status, problem, _ = await face.ask("GET", "/api/samples?cursor=%00")
    assert (status, problem["errors"][0]["field"]) == (422, "query.cursor")
    status, problem, _ = await face.ask("POST", "/api/samples/pay%00/cancel")
    assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/samples", f'{{"description":"{CARD}"}}'),
        ("/api/samples", '{"description":"card 4242 4242-4242 4242 please"}'),
        ("/api/samples", '{"description":"\\u00342\\u00342424242424242"}'),
        ("/api/samples", f'{{"metadata":{{"{CARD}":"x"}}}}'),
        ("/api/samples", f'{{"lines":[{{"deep":[["{CARD}"]]}}]}}'),
        ("/api/samples", f'{{"number":{CARD}}}'),
        ("/api/samples/pay_1/cancel", f'{{"reason":"{CARD}"}}'),
        (f"/api/samples?reference={CARD}", GOOD),
        (f"/api/samples?{quote('4242 4242 4242 4242')}=x", GOOD),
    ],
)
async def test_a_card_number_is_refused_and_never_logged(
    face: Face,
    logs: list[MutableMapping[str, Any]],
    caplog: pytest.LogCaptureFixture,
    path: str,
    body: str,
) -> None:
    """In any value, name or query of a payment route; no line of any logger holds it."""
    caplog.set_level(logging.DEBUG)
    # The server's own line of each request is off when serving; pytest listens to it all the same.
    caplog.set_level(logging.WARNING, "uvicorn.access")
    status, problem, _ = await face.post(path, body)
    assert (status, problem["code"]) == (422, "card_number_refused")
    said = f"{problem}{logs}{caplog.text}".replace(" ", "").replace("-", "")
    assert any(line["event"] == "request.refused" for line in logs)
    assert CARD not in said
    assert "42424242" not in said


async def test_a_card_number_is_no_idempotency_key(face: Face) -> None:
    """The key would be stored."""
    status, problem, _ = await face.ask(
        "POST", "/api/samples/pay_1/cancel", headers={"Idempotency-Key": CARD}
    )
    assert (status, problem["code"]) == (422, "card_number_refused")


async def test_ids_and_other_routes_are_exempt(face: Face) -> None:
    """A path names rows of ours; on other routes such digits may be anything."""
    status, body, _ = await face.ask("POST", f"/api/samples/pay_{CARD}/cancel")
    assert (status, body["id"]) == (200, f"pay_{CARD}")
    wish = f'{{"amount":1,"currency":"NGN","description":"{CARD}"}}'
    status, body, _ = await face.post("/api/samples-open/notes", wish)
    assert (status, body["description"]) == (200, CARD)


async def test_a_list_is_read_to_its_end_by_cursor(face: Face) -> None:
    """Every row once, newest first; a cursor that was touched is refused."""
    seen: list[str] = []
    query = "limit=20"
    while True:
        status, page, _ = await face.ask("GET", f"/api/samples?{query}")
        assert status == 200
        seen += page["data"]
        if page["next_cursor"] is None:
            break
        query = f"limit=20&cursor={page['next_cursor']}"
    assert seen == [f"pay_{number:026}" for number in range(50, 0, -1)]
    status, problem, _ = await face.ask("GET", "/api/samples?cursor=abc")
    assert (status, problem["errors"][0]["field"]) == (422, "query.cursor")
