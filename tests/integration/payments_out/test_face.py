"""Endpoints, deliveries and streams as clients meet them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.integration.payments_out.face import Face, face_of
from tests.integration.payments_out.world import Receiver, World
from tidegate.clock import rfc3339
from tidegate.payments import tables


@pytest.fixture
async def face(world: World) -> AsyncIterator[Face]:
    async with face_of(world) as made:
        yield made


async def _json(call: Any, status: int) -> Any:
    async with call as response:
        body = await response.json(content_type=None)
        assert response.status == status, body
        return body


async def test_an_endpoint_lives_and_is_removed(face: Face, shop: Receiver) -> None:
    given = {"url": shop.url, "events": ["payment.*"]}
    made = await _json(face.call("POST", "/webhook-endpoints", json=given), 201)
    path = f"/webhook-endpoints/{made['id']}"
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert await _json(face.call("GET", path), 200) == made
    listed = await _json(face.call("GET", "/webhook-endpoints"), 200)
    assert listed == {"data": [made], "next_cursor": None}
    changed = await _json(face.call("PATCH", path, json={"enabled": False}), 200)
    assert (changed["enabled"], changed["disabled_reason"]) == (False, "by_user")
    rotated = await _json(face.call("POST", f"{path}/rotate"), 200)
    assert rotated["secret"] not in ("", secret)
    assert rotated["previous_secret_until"].endswith("Z")
    async with face.call("DELETE", path) as response:
        assert response.status == 204
    gone = await _json(face.call("GET", path), 404)
    assert gone["code"] == "not_found"
    for method, below in (("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        body: Any = {} if method == "PATCH" else None
        await _json(face.call(method, path + below, json=body), 404)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "https://10.0.0.1/", "events": ["*"]}, "receiver_refused"),
        ({"url": "https://shop.example.com:25/", "events": ["*"]}, "receiver_refused"),
        ({"url": "https://shop.example.com/", "events": []}, "validation_failed"),
        ({"url": "https://shop.example.com/", "events": ["payment"]}, "validation_failed"),
        ({"url": "https://shop.example.com/", "events": "*"}, "validation_failed"),
        ({"url": "https://shop.example.com/"}, "validation_failed"),
        ({"url": 1, "events": ["*"]}, "validation_failed"),
        ({"url": "https://shop.example.com/", "events": ["*"], "x": 1}, "validation_failed"),
    ],
)
async def test_what_cannot_be_an_endpoint_is_a_problem(
    face: Face, body: dict[str, Any], code: str
) -> None:
    problem = await _json(face.call("POST", "/webhook-endpoints", json=body), 422)
    assert problem["code"] == code


async def test_nothing_without_a_token(face: Face) -> None:
    for method, path in (
        ("GET", "/webhook-endpoints"),
        ("GET", "/payments/pay_1/stream"),
        ("POST", "/webhook-deliveries/dlv_1/redeliver"),
    ):
        problem = await _json(face.call(method, path, token=None), 401)
        assert problem["code"] == "not_authenticated"


async def test_deliveries_are_listed_replayed_and_redelivered(face: Face, shop: Receiver) -> None:
    world = face.world
    endpoint = await world.listen(shop.url)
    await world.pay("pay_1")
    for _ in range(3):
        await world.happen("pay_1")
    await world.work()
    path = f"/webhook-endpoints/{endpoint}"
    first = await _json(face.call("GET", f"{path}/deliveries?limit=2"), 200)
    cursor = first["next_cursor"]
    rest = await _json(face.call("GET", f"{path}/deliveries?limit=2&cursor={cursor}"), 200)
    assert [each["sequence"] for each in first["data"] + rest["data"]] == [3, 2, 1]
    assert rest["next_cursor"] is None
    await _json(face.call("GET", f"{path}/deliveries?cursor=x"), 422)

    (event,) = await world.rows(tables.payment_events, seq=2)
    since = {"since": rfc3339(event["at"])}
    queued = await _json(face.call("POST", f"{path}/replay", json=since), 202)
    assert queued == {"queued": 2}
    for wrong in ("yesterday", "2026-11-21", "2026-11-21T10:00:00", 1_700_000_000):
        await _json(face.call("POST", f"{path}/replay", json={"since": wrong}), 422)
    await world.work()
    assert shop.marks == [("pay_1", number) for number in (1, 2, 3, 2, 3)]
    delivery = rest["data"][0]["id"]
    again = await _json(face.call("POST", f"/webhook-deliveries/{delivery}/redeliver"), 202)
    assert again["state"] == "waiting"
    await _json(face.call("POST", f"/webhook-deliveries/{delivery}/redeliver", token="usr_2"), 404)


async def test_every_operation_is_described(face: Face) -> None:
    """An example of each body and answer, and its problems."""
    document = face.app.openapi()
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) == 10
    for path, method, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
        assert "401" in operation["responses"], path
        assert ("404" in operation["responses"]) == ("{" in path), path
        assert ("429" in operation["responses"]) == (method != "get" or "stream" in path), path


async def _lines(response: aiohttp.ClientResponse, until: int) -> list[dict[str, str]]:
    """Read events until there are so many; comments are events without fields."""
    found: list[dict[str, str]] = []
    current: dict[str, str] = {}
    async with asyncio.timeout(60):
        while sum("id" in each for each in found) < until:
            line = (await response.content.readline()).decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                current[name] = value
            else:
                found.append(current)
                current = {}
    return [each for each in found if "id" in each]


async def test_a_payment_is_followed_and_resumed(face: Face) -> None:
    """The body of each event is that of its webhook."""
    world = face.world
    await world.pay("pay_1")
    first = await world.happen("pay_1", "payment.created")
    async with face.call("GET", "/payments/pay_1/stream") as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "no-store" in ", ".join(response.headers.getall("cache-control"))
        assert response.headers["x-accel-buffering"] == "no"
        (event,) = await _lines(response, 1)
        second = await world.happen("pay_1", "payment.failed")
        (later,) = await _lines(response, 1)
    assert (event["id"], event["event"]) == (first, "payment.created")
    assert (later["id"], later["event"]) == (second, "payment.failed")
    payload = json.loads(later["data"])
    assert payload["type"] == "payment.failed"
    assert payload["data"] == {"payment": "pay_1", "sequence": 2}
    resumed = {"Last-Event-ID": first}
    async with face.call("GET", "/payments/pay_1/stream", headers=resumed) as response:
        (event,) = await _lines(response, 1)
    assert event["id"] == second


async def test_a_stream_of_somebody_elses_payment_is_not_found(face: Face) -> None:
    await face.world.pay("pay_1")
    problem = await _json(face.call("GET", "/payments/pay_1/stream", token="usr_2"), 404)
    assert problem["code"] == "not_found"


async def test_streams_are_counted_and_given_back(face: Face) -> None:
    """Two in this world; a third has to wait until one is closed."""
    await face.world.pay("pay_1")
    await face.world.happen("pay_1")
    path = "/payments/pay_1/stream"
    async with face.call("GET", path) as one, face.call("GET", path) as two:
        for response in (one, two):
            await _lines(response, 1)
        problem = await _json(face.call("GET", path), 429)
        assert problem["code"] == "too_many_requests"
        one.close()
        async with asyncio.timeout(60):
            while True:
                async with face.call("GET", path) as third:
                    if third.status == 200:
                        break
                await asyncio.sleep(0.05)


async def test_a_stream_beats_and_ends_when_its_token_is_void(face: Face) -> None:
    await face.world.pay("pay_1")
    async with face.call("GET", "/payments/pay_1/stream") as response:
        async with asyncio.timeout(60):
            assert await response.content.readline() == b": still here\n"
            face.void.add("usr_1")
            rest = await response.content.read()
    assert set(rest.split(b"\n")) <= {b"", b": still here"}


async def test_a_stream_ends_when_its_token_expires(face: Face) -> None:
    await face.world.pay("pay_1")
    face.expires_in_s = 0.5
    async with face.call("GET", "/payments/pay_1/stream") as response:
        async with asyncio.timeout(60):
            await response.content.read()
    assert response.status == 200
