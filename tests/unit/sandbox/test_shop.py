"""The played shop: a page that gives nothing away, and a receiver that believes nobody."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from tidegate.clock import SimulatedClock
from tidegate.sandbox.shop import SALES, Receiver, Shop
from tidegate.sandbox.shop.sales import BUYERS, CARDS

_NODE = "http://127.0.0.1:9"
_SECRET = f"whsec_{b64encode(b'k' * 24).decode()}"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = Shop(SimulatedClock())
    made.node_url = _NODE
    made.buyer = {"email": "ada@example.com", "password": "seven purple tractors"}
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def _get(shop: Shop, path: str) -> tuple[Mapping[str, str], str]:
    async with aiohttp.ClientSession() as client, client.get(shop.origin + path) as answer:
        assert answer.status == 200
        return answer.headers, await answer.text()


@pytest.mark.parametrize(
    ("path", "type_"),
    [("/", "text/html"), ("/shop.js", "text/javascript"), ("/shop.css", "text/css")],
)
async def test_the_page_may_run_its_own_script_and_call_the_node_alone(
    shop: Shop, path: str, type_: str
) -> None:
    """A strict policy goes with every file; nothing inline, nothing from elsewhere."""
    headers, _ = await _get(shop, path)
    assert headers["Content-Type"].startswith(type_)
    policy = dict(
        part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == f"'self' {_NODE}"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"


async def test_the_page_holds_nothing_that_the_policy_forbids(shop: Shop) -> None:
    """No inline script, style or handler: the policy would stop it, and the page would be dead."""
    _, page = await _get(shop, "/")
    assert re.findall(r"<script[^>]*>", page) == ['<script src="/shop.js" defer>']
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
    assert not re.search(r'(?:src|href)="(?!/|data:)', page)


async def test_the_script_and_the_page_fit_together(shop: Shop) -> None:
    """Every part that the script looks for is there, and its brackets close."""
    _, page = await _get(shop, "/")
    _, script = await _get(shop, "/shop.js")
    wanted = set(re.findall(r'\$\("([a-z]+)"\)', script))
    assert wanted
    assert wanted <= set(re.findall(r'\sid="([a-z]+)"', page))
    code = re.sub(r"//.*|/\^.*?/\.exec", "", script)
    for opening, closing in ("()", "[]", "{}"):
        assert code.count(opening) == code.count(closing)


async def test_no_token_is_written_anywhere_but_into_a_header(shop: Shop) -> None:
    """Neither into an address nor into storage, and no HTML is made of what the node says."""
    _, script = await _get(shop, "/shop.js")
    assert re.findall(r"\$\{token\}", script) == ["${token}"]
    assert "all.Authorization = `Bearer ${token}`" in script
    assert not re.search(r"innerHTML|outerHTML|document\.write|eval\(|localStorage", script)
    stored = re.findall(r"sessionStorage\.setItem\((\w+), ([^;]+)\);", script)
    assert stored == [("WISH", "JSON.stringify(kept)"), ("PAYMENT", "payment.id")]


async def test_the_page_is_told_the_node_and_the_buyer(shop: Shop) -> None:
    _, text = await _get(shop, "/config.json")
    assert json.loads(text) == {"node": _NODE, **shop.buyer}


def _message(
    receiver_clock: SimulatedClock, number: int, sequence: int, secret: str = _SECRET
) -> tuple[dict[str, str], bytes]:
    """As the node's library signs it."""
    data: dict[str, Any] = {"id": "pay_1", "object": "payment", "sequence": sequence}
    body = json.dumps({"type": "payment.created", "timestamp": "now", "data": data})
    now_s = receiver_clock.now_ms() // 1000
    when = datetime.fromtimestamp(now_s, UTC)
    message_id = f"evt_{number}"
    signature = Webhook(secret).sign(msg_id=message_id, timestamp=when, data=body)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": signature,
    }
    return headers, body.encode()


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def receiver(clock: SimulatedClock) -> Receiver:
    """One endpoint that has met its first message, which finds nobody."""
    made = Receiver(clock)
    made.expect("ada", _SECRET)
    assert made.take("ada", *_message(clock, 1, 1)) == 503
    return made


def test_messages_are_taken_once_and_in_order(receiver: Receiver, clock: SimulatedClock) -> None:
    """What was turned away comes again; a repeated one is answered well and not counted."""
    for number in (1, 2, 2, 3):
        assert receiver.take("ada", *_message(clock, number, number)) == 204
    assert [one.sequence for one in receiver.arrived["ada"]] == [1, 2, 3]
    assert (receiver.wrong, receiver.repeated, receiver.turned_away) == ([], 1, 1)


def test_a_gap_and_a_wrong_order_are_noted(receiver: Receiver, clock: SimulatedClock) -> None:
    receiver.take("ada", *_message(clock, 2, 2))
    receiver.take("ada", *_message(clock, 1, 1))
    assert len(receiver.wrong) == 2
    assert "event 2 came after 0" in receiver.wrong[0]


def test_what_the_node_did_not_sign_is_refused(receiver: Receiver, clock: SimulatedClock) -> None:
    """Another secret, another body, another time, no signature at all: each refused and noted."""
    headers, body = _message(clock, 1, 1)
    other = f"whsec_{b64encode(b'x' * 24).decode()}"
    refused = [
        _message(clock, 1, 1, secret=other),
        (headers, body + b" "),
        ({**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}, body),
        ({**headers, "webhook-id": "evt_2"}, body),
        ({}, body),
    ]
    assert [receiver.take("ada", *one) for one in refused] == [400] * len(refused)
    assert len(receiver.wrong) == len(refused)
    assert receiver.arrived["ada"] == []


def test_a_message_of_long_ago_is_refused(receiver: Receiver, clock: SimulatedClock) -> None:
    old = _message(clock, 1, 1)
    clock.advance(301)
    assert receiver.take("ada", *old) == 400


def test_every_sale_has_a_buyer_and_a_card_that_is_stored() -> None:
    assert {sale.buyer for sale in SALES} == set(BUYERS)
    assert {sale.card for sale in SALES} == set(CARDS)
    assert all(sale.refunded <= sale.amount for sale in SALES)
