"""Offers that are not taken, and what arrives in no order at all (aggregator.md 3; A3, A4)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.acceptance.counterparty.aggregator import CLIENT_ID, SECRET
from tests.acceptance.counterparty.orders import Order
from tests.acceptance.counterparty.script import slowly
from tests.acceptance.counterparty.server import Answer, send
from tests.acceptance.counterparty.signing import go_json, sign
from tests.acceptance.counterparty.world import World

WORLD = {"MAX_ORDER_AMOUNT": "20000000", "MIN_ORDER_AMOUNT": "100"}

LIMIT = 64 * 1024


def _kept(world: World, order: Order) -> int:
    return int(world.rows("SELECT COUNT(*) FROM offers WHERE order_id = ?", order.id)[0][0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("institution", "XXXXNGXX"),
        ("institution", "HBCLNGLA"),  # the licence is revoked
        ("institution", "KCBLKENX"),  # a bank of another country
        ("institution", ""),
        ("institution", "A" * 5000),
        ("currency", "ZZZ"),
        ("currency", "KES"),
        ("currency", "ngn"),
        ("currency", ""),
        ("amount", "0"),
        ("amount", "-75375"),
        ("amount", "75375.001"),
        ("amount", "1e400"),
        ("amount", "NaN"),
        ("amount", "Infinity"),
        ("amount", "9223372036854775808"),
        ("amount", "92233720368547758.08"),
        ("amount", "20000000.01"),
        ("amount", "99.99"),
        ("amount", "1" * 5000),
        ("amount", ""),
        ("amount", "many"),
        ("amount", "٧٥٣٧٥"),
        ("amount", "75_375"),
    ],
)
def test_hazard_13_what_cannot_be_paid_is_kept_answered_200_and_declined(
    world: World, field: str, value: str
) -> None:
    """Refusing by an error would only make the aggregator call again at once (3.1)."""
    order = world.order()
    change: dict[str, Any] = {field: value}
    answer = world.offer(order, **change)
    assert answer.took_s < 5
    reason = world.wait(order, "decline")[0]
    assert reason.get("reason")
    assert order.verbs() == ["decline"]
    assert _kept(world, order) == 1
    assert not world.bank.posts_to(order.account)


@pytest.mark.parametrize(
    "number", ["1e400", "-0", "9223372036854775808", "1e-400", "0.0000000001", "1E+2000000"]
)
def test_hazard_13_an_amount_as_a_wild_json_number_is_declined_too(
    world: World, number: str
) -> None:
    """Numbers are tolerated beside strings (1); these are no amounts."""
    order = world.order()
    world.aggregator.book.offer(order)
    body = go_json(
        {"amount": 0, "currency": "NGN", "institution": order.institution, "orderId": order.id}
    ).replace(b'"amount":0', b'"amount":' + number.encode())
    assert world.aggregator.post("/new_order", body).status == 200
    world.wait(order, "decline")
    assert order.verbs() == ["decline"]


def test_section_1_an_amount_as_a_plain_json_number_is_paid(world: World) -> None:
    """Be lenient and also accept a JSON number."""
    order = world.order()
    world.aggregator.book.offer(order)
    body = {"currency": "NGN", "institution": order.institution, "orderId": order.id}
    assert world.aggregator.post("/new_order", go_json({**body, "amount": 75375})).status == 200
    world.settled(order)
    assert world.bank.to(order.account)[0].body["amount"] == "75375.00"


def test_3_1_the_only_psp_excluded_is_a_decline(world: World) -> None:
    """``excludePsps`` leaves none, so the order is declined."""
    order = world.order()
    world.offer(order, excludePsps=["korapay", "lenco"])
    world.wait(order, "decline")
    assert order.verbs() == ["decline"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/new_order", {"direction": "payin", "orderId": "3fa85f64-5717-4562-b3fc-2c963f66afa6"}),
        ("/new_order", {"direction": "PAYIN", "orderId": "3fa85f64-5717-4562-b3fc-2c963f66afa6"}),
        ("/tx_refund", {"orderId": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "amount": "1"}),
        ("/request_authorization", {"orderId": "3fa85f64-5717-4562-b3fc-2c963f66afa6"}),
    ],
)
def test_3_4_what_only_payins_need_is_501_json_and_creates_nothing(
    world: World, path: str, body: dict[str, str]
) -> None:
    """A payout-only node says so."""
    figures = {"amount": "150000", "currency": "NGN", "institution": "GTBINGLA"}
    answer = world.aggregator.post(path, go_json({**figures, **body}))
    assert answer.status == 501
    assert answer.json["status"] == "error"
    assert not world.rows("SELECT id FROM payouts WHERE order_id = ?", body["orderId"])


def test_3_3_verify_account_answers_a_name_as_a_plain_string(world: World) -> None:
    """``data`` is the name itself."""
    body = {"accountIdentifier": "0123456789", "institution": "ABNGNGLA"}
    answer = world.aggregator.post("/verify_account", go_json(body))
    assert (answer.status, answer.json["data"]) == (200, "ADA OBI")


@pytest.mark.parametrize(
    "body",
    [
        {"accountIdentifier": "12", "institution": "ABNGNGLA"},
        {"accountIdentifier": "0123456789", "institution": "NOPENGXX"},
        {"accountIdentifier": 5, "institution": None},
        {},
    ],
)
def test_3_3_verify_account_never_answers_500_or_an_empty_name(
    world: World, body: dict[str, Any]
) -> None:
    """Any 4xx or 503 sends the aggregator to the next provider."""
    answer = world.aggregator.post("/verify_account", go_json(body))
    assert 400 <= answer.status < 500 or answer.status == 503
    assert answer.json["status"] == "error"


def test_3_3_verify_account_is_answered_while_somebody_waits(world: World) -> None:
    """The aggregator's limit is 10 s; the bank takes 12."""
    world.bank.scripts.add("resolve", "", slowly(12))
    started = time.monotonic()
    body = {"accountIdentifier": "0123456789", "institution": "ABNGNGLA"}
    answer = world.aggregator.post("/verify_account", go_json(body))
    assert (answer.status, answer.json["status"]) == (404, "error")
    assert time.monotonic() - started < 10


# -- input that nobody should send

GOOD = {"amount": "75375", "currency": "NGN", "institution": "ABNGNGLA"}


def _new_order(world: World) -> bytes:
    return go_json({**GOOD, "orderId": world.order().id})


@pytest.mark.parametrize("path", ["/new_order", "/tx_status", "/verify_account", "/tx_refund"])
@pytest.mark.parametrize("signature", ["", "0" * 64, "UPPER", "short", "bytes", "spec"])
def test_2_4_a_live_call_without_a_good_signature_is_401(
    world: World, path: str, signature: str
) -> None:
    """Missing, wrong, upper-case, of another body, in the other dialect's header: all 401."""
    body = _new_order(world)
    good = sign(SECRET, body)
    headers = {"Content-Type": "application/json"}
    if signature == "spec":
        headers["Authorization"] = f"HMAC {CLIENT_ID}:{good}"
    elif signature:
        said = {"UPPER": good.upper(), "short": good[:-1], "bytes": sign(SECRET, body + b" ")}
        headers["X-Request-Signature"] = said.get(signature, signature)
    answer = send("POST", world.node.url + path, body, headers)
    assert answer.status == 401
    assert answer.json["status"] == "error"
    order_id = json.loads(body)["orderId"]
    assert not world.rows("SELECT id FROM offers WHERE order_id = ?", order_id)


def test_2_4_one_changed_byte_is_401(world: World) -> None:
    """The signature is over exactly these bytes."""
    body = _new_order(world)
    changed = body.replace(b"75375", b"75376")
    assert world.aggregator.post("/new_order", changed, sign(SECRET, body)).status == 401


def _spec(world: World) -> dict[str, Any]:
    return world.aggregator.spec_body(world.order())


@pytest.mark.parametrize("fault", ["missing", "scheme", "client", "wrong", "stale", "future"])
def test_2_4_a_spec_offer_without_good_authentication_is_401(world: World, fault: str) -> None:
    """Header, scheme, client, signature, and a timestamp more than five minutes away."""
    body = _spec(world)
    if fault in ("stale", "future"):
        body["timestamp"] = int(time.time()) + {"stale": -310, "future": 310}[fault]
    raw = go_json(body)
    good = sign(SECRET, raw)
    client = "0" * 8 + CLIENT_ID[8:] if fault == "client" else CLIENT_ID
    signature = sign("wrong", raw) if fault == "wrong" else good
    scheme = "Bearer" if fault == "scheme" else "HMAC"
    headers = {"Content-Type": "application/json"}
    if fault != "missing":
        headers["Authorization"] = f"{scheme} {client}:{signature}"
    answer = send("POST", world.node.url + "/orders", raw, headers)
    assert answer.status == 401
    assert answer.json["status"] == "error"
    assert not world.rows("SELECT id FROM offers WHERE order_id = ?", body["orderId"])


STRANGE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"[[[[",
    b'"text"',
    b"5",
    b"\xff\xfe",
    b"[" * 30_000,
    b'{"orderId":' * 5_000,
    b'{"orderId":null}',
    b'{"orderId":5,"amount":[],"currency":{},"institution":true}',
    b'{"orderId":{},"reference":[],"amount":"1","currency":"NGN","institution":"ABNGNGLA"}',
    b'{"orderId":"","amount":"1","currency":"NGN","institution":"ABNGNGLA"}',
    b'{"orderId":"' + b"x" * 20_000 + b'","amount":"1","currency":"NGN","institution":"A"}',
    b'{"orderId":"a\\u0000b","reference":"a\\u0000b","amount":"1","currency":"NGN"}',
    b'{"orderId":"\\ud800","reference":"\\ud800","amount":"1","currency":"NGN"}',
    b'{"orderId":"../../etc","reference":"%00","currency":"NGN"}',
    b'{"reference":123,"currency":"NGN"}',
    b'{"timestamp":1e999}',
    b'{"amount":' + b"9" * 50_000 + b"}",
    b'{"a":NaN}',
    b'{"a":1,"a":2}',
]
_NAMES = [f"{number}-{body[:12]!r}" for number, body in enumerate(STRANGE)]


def _strange(world: World, path: str, body: bytes) -> Answer:
    signature = sign(SECRET, body)
    headers = {
        "Content-Type": "application/json",
        "X-Request-Signature": signature,
        "Authorization": f"HMAC {CLIENT_ID}:{signature}",
    }
    answer = send("POST", world.node.url + path, body, headers)
    assert isinstance(answer.json, dict), "no object is a fault to the caller"
    return answer


@pytest.mark.parametrize("path", ["/new_order", "/orders", "/verify_account", "/webhooks/psp"])
@pytest.mark.parametrize("body", STRANGE, ids=_NAMES)
def test_strange_bodies_are_4xx_json_and_never_500(world: World, path: str, body: bytes) -> None:
    """Well signed and senseless: refused in the envelope; the node lives on."""
    answer = _strange(world, path, body)
    assert 400 <= answer.status < 500, (answer.status, answer.body)


@pytest.mark.parametrize("body", STRANGE, ids=_NAMES)
def test_hazard_6_tx_status_never_answers_400_whatever_is_sent(world: World, body: bytes) -> None:
    """400 would hand the order to others (3.2)."""
    answer = _strange(world, "/tx_status", body)
    assert answer.status in (404, 422), (answer.status, answer.body)


@pytest.mark.parametrize("path", ["/new_order", "/orders", "/tx_status", "/webhooks/psp"])
def test_more_than_64_kib_is_413_and_tx_status_included_never_400(world: World, path: str) -> None:
    """One byte over the limit is refused as too large, in JSON."""
    frame = b'{"orderId":"%s"}'
    body = frame % (b"x" * (LIMIT + 1 - len(frame) + 2))
    assert len(body) == LIMIT + 1
    answer = _strange(world, path, body)
    assert answer.status == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Expect": "something"},
        {},
    ],
    ids=str,
)
def test_hazard_6_tx_status_with_odd_headers_never_answers_400(
    world: World, headers: dict[str, str]
) -> None:
    """A proxy may change them."""
    body = go_json({"currency": "NGN", "reference": world.order().id})
    all_ = {**headers, "X-Request-Signature": sign(SECRET, body)}
    answer = send("POST", world.node.url + "/tx_status", body, all_)
    assert answer.status != 400
    assert answer.status < 500
    assert isinstance(answer.json, dict)


def test_answers_outside_the_contract_are_json_too(world: World) -> None:
    """No HTML error page: a text with "400" in it would be read as HTTP 400 (3)."""
    for method, path in (("GET", "/nowhere"), ("GET", "/new_order"), ("DELETE", "/tx_status")):
        answer = send(method, world.node.url + path)
        assert 404 <= answer.status <= 405
        assert isinstance(answer.json, dict)


def test_3_7_info_holds_strings_and_no_wallet(world: World) -> None:
    """A number where a balance belongs makes the whole answer unreadable."""
    data = world.node.get("/info").json["data"]
    service = data["serviceInfo"]
    assert service["currencies"] == ["NGN"]
    assert type(service["totalPSPs"]) is int
    assert "walletAddress" not in service
    for row in (*data["totalBalances"].values(), *data["balances"]):
        for key in ("availableBalance", "totalBalance"):
            assert isinstance(row[key], str)
            assert row[key].replace(".", "", 1).isdigit()


def test_3_8_health_is_the_documented_shape(world: World) -> None:
    """No authentication, cheap, "Node is live"."""
    answer = world.node.get("/health")
    assert answer.json["message"] == "Node is live"
    assert answer.json["data"]["currencies"] == ["NGN"]
