"""The aggregator's client: signatures, the retry table, and every row of what answers mean."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import parse_qsl

import aiohttp
import pytest

from tests.integration.adapters.raw import Hasty, Heard, Reply, Scripted, reply, scripted_server
from tidegate.adapters.aggregator import HttpAggregator
from tidegate.adapters.http import HttpClient
from tidegate.clock import Clock, Randomness
from tidegate.errors import InvalidAmount
from tidegate.ports.aggregator import (
    AcceptAnswer,
    Accepted,
    Dialect,
    Listed,
    Said,
    SayAnswer,
    Validation,
)

CLIENT = "0b1f6e2c-1111-4222-8333-444455556666"
SECRET = "bm90LWEtcmVhbC1zZWNyZXQtMzItYnl0ZXMtbG9uZyE="
ORDER = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
TX = "tg-k3j5x7q2m4n6p2r7s3t2v4"
DROP = Reply(drop=True)


class Ticking(Hasty):
    """A second passes with every look at the wall clock, so that stamps can be told apart."""

    def __init__(self) -> None:
        super().__init__()
        self._now_ms = 1_728_201_600_000

    def now_ms(self) -> int:
        self._now_ms += 1000
        return self._now_ms


def says(message: str, http: int = 200, data: object = None) -> Reply:
    word = "success" if http < 400 else "error"
    return reply({"status": word, "message": message, "data": data}, http)


ACCEPTED = {
    "id": ORDER,
    "direction": "payout",
    "amount": "75375",
    "institution": "ABNGNGLA",
    "accountIdentifier": "0123456789",
    "accountName": "ADA B OBI",
    "memo": "rent for May",
    "metadata": {"channel": "Mobile", "count": 2},
}
YES = says("Order request accepted successfully", 201, ACCEPTED)
STALE = says("Invalid timestamp", 401)
THROTTLED = says("Too many requests", 429, {"retry_after": 2, "limit": 500})


@dataclass
class Wire:
    """An aggregator's client and the scripted server it talks to."""

    server: Scripted
    clock: Ticking
    client: HttpAggregator
    spec: HttpAggregator

    @property
    def heard(self) -> list[Heard]:
        return self.server.heard


def made(origin: str, clock: Clock, dialect: Dialect) -> HttpAggregator:
    randomness = Randomness(clock, seed=1)
    http = HttpClient(clock, randomness, aiohttp.TCPConnector, "aggregator")
    return HttpAggregator(origin, CLIENT, SECRET, http, clock, randomness, dialect)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    clock = Ticking()
    async with scripted_server() as server:
        live = made(server.origin, clock, Dialect.LIVE)
        spec = made(server.origin, clock, Dialect.SPEC)
        yield Wire(server, clock, live, spec)
        await live.close()
        await spec.close()


def assert_signed(heard: Heard) -> int:
    """Check the signature as the stricter of the two aggregators does; give the timestamp."""
    scheme, _, rest = heard.headers["authorization"].partition(" ")
    client, _, signature = rest.partition(":")
    assert (scheme, client) == ("HMAC", CLIENT)
    if heard.method == "GET":
        assert heard.body == b""
        tree: dict[str, object] = dict(parse_qsl(heard.query, strict_parsing=True))
        tree["timestamp"] = int(str(tree["timestamp"]))
    else:
        tree = json.loads(heard.body)
        assert heard.headers["content-type"] == "application/json"
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    if heard.method == "POST":
        assert heard.body == text.encode()
    expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert signature == expected
    assert "client-type" not in heard.headers
    stamp = tree["timestamp"]
    assert isinstance(stamp, int)
    return stamp


Say = Callable[[HttpAggregator], Awaitable[SayAnswer | AcceptAnswer]]


def accept(timeout_s: float = 20.0, dialect: Dialect = Dialect.LIVE) -> Say:
    return lambda client: client.accept(ORDER, dialect, timeout_s)


def decline(client: HttpAggregator) -> Awaitable[SayAnswer]:
    return client.decline(ORDER, "Unsupported <institution> & more")


def cancel(client: HttpAggregator) -> Awaitable[SayAnswer]:
    return client.cancel(ORDER, "Invalid recipient bank details")


def fulfil(validation: Validation = Validation.SUCCESS) -> Say:
    return lambda client: client.fulfil_live(
        ORDER,
        psp="lenco",
        tx_id=TX,
        validation=validation,
        error="no such account" if validation is Validation.FAILED else "",
    )


def fulfil_spec(client: HttpAggregator) -> Awaitable[SayAnswer]:
    return client.fulfil_spec(ORDER, transaction_hash="lenco-1")


def balance(client: HttpAggregator) -> Awaitable[SayAnswer]:
    return client.push_balance(
        "NGN", available=Decimal("50000.5"), total=Decimal("100000"), reserved=Decimal("49999.50")
    )


# -- what is sent


@pytest.mark.parametrize(
    ("say", "path", "fields"),
    [
        (accept(), f"orders/{ORDER}/accept", {}),
        (decline, f"orders/{ORDER}/decline", {"reason": "Unsupported <institution> & more"}),
        (cancel, f"orders/{ORDER}/cancel", {"reason": "Invalid recipient bank details"}),
        (
            fulfil(),
            f"orders/{ORDER}/fulfill",
            {"psp": "lenco", "txId": TX, "validationStatus": "success", "validationError": ""},
        ),
        (
            fulfil(Validation.FAILED),
            f"orders/{ORDER}/fulfill",
            {
                "psp": "lenco",
                "txId": TX,
                "validationStatus": "failed",
                "validationError": "no such account",
            },
        ),
        (
            fulfil(Validation.PENDING),
            f"orders/{ORDER}/fulfill",
            {"psp": "lenco", "txId": TX, "validationStatus": "pending", "validationError": ""},
        ),
        (fulfil_spec, f"orders/{ORDER}/fulfill", {"transactionHash": "lenco-1"}),
        (
            balance,
            "balances",
            {
                "currency": "NGN",
                "availableBalance": "50000.50",
                "totalBalance": "100000.00",
                "reservedBalance": "49999.50",
            },
        ),
    ],
)
async def test_bodies(wire: Wire, say: Say, path: str, fields: dict[str, str]) -> None:
    """Path, fields and signature of every POST; all values are strings but the timestamp."""
    wire.server.script(says("ok", 200, ACCEPTED))
    answer = await say(wire.client)
    (heard,) = wire.heard
    stamp = assert_signed(heard)
    assert heard.path == f"/v1/provider/{path}"
    assert heard.json() == {**fields, "timestamp": stamp}
    assert answer.said is Said.DONE
    assert len(answer.exchanges) == 1


async def test_spec_balances(wire: Wire) -> None:
    """The spec form holds numbers, as Go spells them."""
    wire.server.script(Reply(200, b""))
    assert (await balance(wire.spec)).said is Said.DONE
    (heard,) = wire.heard
    assert b'"available":50000.5,' in heard.body
    assert b'"total":100000}' in heard.body
    assert heard.json()["balances"] == [
        {"currency": "NGN", "available": 50000.5, "total": 100000, "reserved": 49999.5}
    ]


async def test_inexact_balances_are_not_sent(wire: Wire) -> None:
    """A third of a kobo is a mistake, not a figure."""
    with pytest.raises(InvalidAmount):
        await wire.client.push_balance(
            "NGN", available=Decimal("0.001"), total=Decimal(1), reserved=Decimal(0)
        )
    assert wire.heard == []


@pytest.mark.parametrize(
    ("base", "prefix"),
    [
        ("", "/v1/provider/"),
        ("/", "/v1/provider/"),
        ("/v2/provider", "/v2/provider/"),
        ("/gate/v1/provider/", "/gate/v1/provider/"),
    ],
)
async def test_base_paths(wire: Wire, base: str, prefix: str) -> None:
    """An origin or an origin with a prefix; the secret and the path are never mixed."""
    client = made(wire.server.origin + base, wire.clock, Dialect.LIVE)
    wire.server.script(YES)
    await client.accept(ORDER, Dialect.LIVE, 5)
    await client.close()
    assert wire.heard[0].path == f"{prefix}orders/{ORDER}/accept"


# -- what an answer means

ROWS: list[tuple[Say, Reply, Said]] = [
    # accept (4.1)
    (accept(), YES, Said.DONE),
    (accept(), says("Order request accepted successfully", 200, ACCEPTED), Said.DONE),
    (accept(), says("Order request not found or is expired", 404), Said.GONE),
    (accept(), says("Order not found", 404), Said.GONE),
    (accept(), says("Order cannot be accepted: order is already fulfilling", 400), Said.CONFLICT),
    (accept(), says("order is already pending", 400), Said.CONFLICT),
    (accept(), says("Invalid Order ID", 400), Said.MISCONFIGURED),
    (accept(), says("Invalid HMAC signature", 401), Said.MISCONFIGURED),
    # decline (4.2)
    (decline, says("Order request declined successfully"), Said.DONE),
    (decline, says("Order request not found or is expired", 404), Said.DONE),
    (decline, says("Invalid API key or token", 401), Said.MISCONFIGURED),
    # fulfil (4.3)
    (fulfil(), says("Order fulfilled successfully"), Said.DONE),
    (fulfil(), says("Order already validated"), Said.DONE),
    (fulfil(), says("Order already settled"), Said.DONE),
    (fulfil(), says("Order already refunded"), Said.REFUNDED),
    (fulfil(), says("Order already failed"), Said.UNKNOWN),
    (fulfil(), says("Order does not belong to provider", 403), Said.NOT_OURS),
    (fulfil(), says("Failed to validate payload", 400), Said.MISCONFIGURED),
    (fulfil(), says("Failed to update order status", 500), Said.UNKNOWN),
    (fulfil(), Reply(200, b""), Said.UNKNOWN),
    (fulfil(Validation.PENDING), says("Order fulfilled successfully"), Said.DONE),
    (fulfil(Validation.FAILED), says("Order fulfilled successfully"), Said.DONE),
    (fulfil(Validation.FAILED), says("Order already failed"), Said.DONE),
    (fulfil(Validation.FAILED), says("Order already validated"), Said.UNKNOWN),
    (fulfil(Validation.FAILED), says("Order already settled"), Said.UNKNOWN),
    (fulfil(Validation.FAILED), says("Order already refunded"), Said.REFUNDED),
    (fulfil_spec, says("done"), Said.DONE),
    (fulfil_spec, Reply(200, b""), Said.DONE),
    (fulfil_spec, Reply(204, b""), Said.DONE),
    (fulfil_spec, reply({"status": "error", "message": "no"}), Said.UNKNOWN),
    (fulfil_spec, says("Failed to validate payload", 400), Said.MISCONFIGURED),
    # cancel (4.4)
    (cancel, says("Order cancelled successfully"), Said.DONE),
    (cancel, says("Could not find payment order", 404), Said.GONE),
    (cancel, says("Failed to cancel order", 500), Said.UNKNOWN),
    # balances (4.5)
    (balance, says("Balance updated successfully"), Said.DONE),
    (balance, says("Failed to validate payload", 400, [{"field": "Currency"}]), Said.MISCONFIGURED),
    (balance, says("Failed to update balance", 500), Said.UNKNOWN),
    (balance, Reply(500, b""), Said.UNKNOWN),
]


@pytest.mark.parametrize(("say", "answer", "said"), ROWS)
async def test_meanings(wire: Wire, say: Say, answer: Reply, said: Said) -> None:
    """Each documented answer is one word, and conclusive ones are not asked twice."""
    wire.server.script(answer)
    got = await say(wire.client)
    assert got.said is said
    assert len(wire.heard) == 1
    assert len(got.exchanges) == 1


@pytest.mark.parametrize("say", [decline, fulfil(), fulfil_spec, cancel, balance])
@pytest.mark.parametrize(
    "answer",
    [
        Reply(
            500,
            b'{"status":"error","message":"Failed to decode API key","data":null}'
            b'{"status":"success","message":"Order fulfilled successfully","data":null}',
        ),
        says("Failed to decode API key", 500),
        Reply(500, b""),
        Reply(502, b"<html>Bad Gateway</html>"),
        Reply(404, b"<html>nothing</html>"),
        Reply(307, b"", {"Location": "/"}),
        DROP,
    ],
    ids=["two_documents", "decode", "empty", "html_502", "html_404", "redirect", "dropped"],
)
async def test_what_proves_nothing(wire: Wire, say: Say, answer: Reply) -> None:
    """A half-aborted chain, an empty body, a proxy, a lost answer: ask before saying it again."""
    wire.server.script(answer)
    got = await say(wire.client)
    assert got.said is Said.UNKNOWN
    assert len(wire.heard) == 1


async def test_foreign_transaction(wire: Wire) -> None:
    """Another txId is told by name; our own in that place is a question, not a conflict."""
    wire.server.script(
        says("Order already has a fulfillment (Status: pending, TxID: other-1)", 400)
    )
    got = await fulfil()(wire.client)
    assert isinstance(got, SayAnswer)
    assert (got.said, got.foreign_tx_id) == (Said.CONFLICT, "other-1")
    wire.server.script(says(f"Order already has a fulfillment (Status: pending, TxID: {TX})", 400))
    got = await fulfil()(wire.client)
    assert isinstance(got, SayAnswer)
    assert (got.said, got.foreign_tx_id) == (Said.UNKNOWN, None)


# -- accept


async def test_live_details(wire: Wire) -> None:
    """The live answer carries the order as it is to be paid; all of it is kept."""
    wire.server.script(YES)
    answer = await wire.client.accept(ORDER, Dialect.LIVE, 5)
    assert answer.details == Accepted(
        amount=Decimal("75375"),
        institution="ABNGNGLA",
        account_identifier="0123456789",
        account_name="ADA B OBI",
        memo="rent for May",
        metadata={"channel": "Mobile", "count": "2"},
        raw={**ACCEPTED, "metadata": {"channel": "Mobile", "count": "2"}},
    )
    assert answer.message == "Order request accepted successfully"


async def test_spec_acceptance_has_no_details(wire: Wire) -> None:
    """In the spec dialect the recipient came with the offer."""
    wire.server.script(says("ok", 200))
    answer = await wire.client.accept(ORDER, Dialect.SPEC, 5)
    assert (answer.said, answer.details) == (Said.DONE, None)


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {**ACCEPTED, "amount": None},
        {**ACCEPTED, "amount": "0"},
        {**ACCEPTED, "amount": "much"},
        {**ACCEPTED, "id": "another-order"},
        {**ACCEPTED, "direction": "payin"},
    ],
)
async def test_an_acceptance_that_cannot_be_paid(wire: Wire, data: object) -> None:
    """Without a payable amount for this very order it is unknown, asked again while time lasts."""
    wire.server.script(says("Order request accepted successfully", 201, data))
    answer = await wire.client.accept(ORDER, Dialect.LIVE, 0.6)
    assert (answer.said, answer.details) == (Said.UNKNOWN, None)
    assert len(wire.heard) > 1


async def test_amount_as_number(wire: Wire) -> None:
    """A JSON number is read exactly; a missing recipient is left for policy to refuse."""
    body = json.dumps({"status": "success", "message": "", "data": {"amount": 0}})
    wire.server.script(Reply(201, body.replace('"amount": 0', '"amount":75375.00').encode()))
    answer = await wire.client.accept(ORDER, Dialect.LIVE, 5)
    assert answer.details is not None
    assert (answer.details.amount, answer.details.account_identifier) == (Decimal(75375), "")


async def test_accept_is_repeated_while_the_offer_lives(wire: Wire) -> None:
    """Lost answers and 5xx are followed by another accept, each freshly stamped and signed."""
    wire.server.script(DROP, Reply(500, b""), Reply(502, b"<html>"), THROTTLED, YES)
    answer = await wire.client.accept(ORDER, Dialect.LIVE, 20)
    assert answer.said is Said.DONE
    assert len(answer.exchanges) == len(wire.heard) == 5
    stamps = [assert_signed(heard) for heard in wire.heard]
    assert len(set(stamps)) == 5
    assert len({heard.headers["authorization"] for heard in wire.heard}) == 5


async def test_accept_ends_with_the_offer() -> None:
    """``timeout_s`` bounds tries and pauses together, even against a silent aggregator."""
    clock = Clocked()
    async with scripted_server() as server:
        client = made(server.origin, clock, Dialect.LIVE)
        server.script(Reply(delay_s=5))
        began = clock.monotonic()
        answer = await client.accept(ORDER, Dialect.LIVE, 0.3)
        assert answer.said is Said.UNKNOWN
        assert clock.monotonic() - began < 4.0
        server.script(Reply(500, b""))
        began = clock.monotonic()
        answer = await client.accept(ORDER, Dialect.LIVE, 0.5)
        assert answer.said is Said.UNKNOWN
        assert clock.monotonic() - began < 4.0
        server.heard.clear()
        answer = await client.accept(ORDER, Dialect.LIVE, 0.0)
        assert answer.said is Said.NOT_SENT
        assert server.heard == []
        await client.close()


class Clocked(Hasty):
    """Real pauses."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (says("Order request not found or is expired", 404), Said.UNKNOWN),
        (says("Order not found", 404), Said.UNKNOWN),
        (says("Invalid HMAC signature", 401), Said.UNKNOWN),
        (says("Order is already fulfilling", 400), Said.CONFLICT),
        (YES, Said.DONE),
    ],
)
async def test_a_lost_accept_shakes_the_refusal_after_it(
    wire: Wire, last: Reply, said: Said
) -> None:
    """A 404 after a lost try may be the answer to our own success: it proves nothing."""
    wire.server.script(DROP, last)
    assert (await wire.client.accept(ORDER, Dialect.LIVE, 20)).said is said


# -- the retry table


@pytest.mark.parametrize("say", [decline, fulfil(), fulfil_spec, cancel, balance])
async def test_what_is_told_is_told_once_a_call(wire: Wire, say: Say) -> None:
    """429 and not reached prove that nothing changed; all the same the next turn looks first
    whether it should still be told."""
    wire.server.script(THROTTLED)
    got = await say(wire.client)
    assert isinstance(got, SayAnswer)
    assert (got.said, got.retry_after_s) == (Said.NOT_SENT, 2.0)
    assert_signed(*wire.heard)

    nobody = made("http://127.0.0.1:1", wire.clock, Dialect.LIVE)
    got = await say(nobody)
    await nobody.close()
    assert got.said is Said.NOT_SENT
    assert [exchange.error for exchange in got.exchanges] == ["not_reached"]
    assert wire.clock.pauses == []


@pytest.mark.parametrize("say", [accept(), decline, fulfil(), fulfil_spec, cancel, balance])
async def test_refused_timestamp_is_stamped_anew_once(wire: Wire, say: Say) -> None:
    """``Invalid timestamp``: once more with the current time; then it is our clock."""
    wire.server.script(STALE, says("ok", 200, ACCEPTED))
    got = await say(wire.client)
    assert got.said is Said.DONE
    first, second = (assert_signed(heard) for heard in wire.heard)
    assert second > first
    wire.server.script(STALE)
    got = await say(wire.client)
    assert got.said is Said.MISCONFIGURED
    assert got.message == "Invalid timestamp"
    assert len(wire.heard) == 2


async def test_a_long_retry_after_ends_the_turn(wire: Wire) -> None:
    """What does not fit the turn's time is handed to the row, not waited for."""
    wire.server.script(Reply(429, b"{}", {"Retry-After": "900"}))
    got = await cancel(wire.client)
    assert (got.said, got.retry_after_s) == (Said.NOT_SENT, 900.0)
    assert len(wire.heard) == 1


# -- questions

SEEN = {
    "id": ORDER,
    "status": "fulfilling",
    "amount": "50.25",
    "rate": "1500",
    "institution": "ABNGNGLA",
    "accountIdentifier": "0123456789",
    "accountName": "ADA B OBI",
    "memo": "",
    "providerId": "",
    "orderType": "regular",
    "otcExpiry": "0001-01-01T00:00:00Z",
}


async def test_order_found(wire: Wire) -> None:
    """The oracle of ownership: status, figures and recipient."""
    wire.server.script(says("OK", 200, SEEN))
    query = await wire.client.order(ORDER)
    (order,) = query.orders
    assert query.listed is Listed.FOUND
    assert (order.order_id, order.status) == (ORDER, "fulfilling")
    assert (order.token_amount, order.rate) == (Decimal("50.25"), Decimal(1500))
    assert (order.account_identifier, order.memo) == ("0123456789", None)
    (heard,) = wire.heard
    assert heard.path == f"/v1/provider/orders/{ORDER}"
    assert_signed(heard)


@pytest.mark.parametrize(
    ("answer", "listed"),
    [
        (says("Payment order not found", 404), Listed.NOT_OURS),
        (says("Route Not Found", 404), Listed.UNAVAILABLE),
        (says("API key not found", 404), Listed.UNAVAILABLE),
        (Reply(404, b"Payment order not found"), Listed.UNAVAILABLE),
        (says("Payment order not found", 400), Listed.UNAVAILABLE),
        (says("Invalid HMAC signature", 401), Listed.UNAVAILABLE),
        (says("OK", 200, {**SEEN, "id": "another"}), Listed.UNAVAILABLE),
        (says("OK", 200, {**SEEN, "status": ""}), Listed.UNAVAILABLE),
        (says("OK", 200, None), Listed.UNAVAILABLE),
    ],
)
async def test_order_not_found(wire: Wire, answer: Reply, listed: Listed) -> None:
    """Only the aggregator's own 404 says that the order is not ours."""
    wire.server.script(answer)
    query = await wire.client.order(ORDER)
    assert (query.listed, query.orders) == (listed, ())


async def test_questions_are_asked_three_times(wire: Wire) -> None:
    """Trouble is asked again, and all tries are kept."""
    wire.server.script(DROP, Reply(500, b""), says("OK", 200, SEEN))
    query = await wire.client.order(ORDER)
    assert query.listed is Listed.FOUND
    assert len(query.exchanges) == 3
    wire.server.script(Reply(503, b"<html>"))
    query = await wire.client.order(ORDER)
    assert query.listed is Listed.UNAVAILABLE
    assert len(query.exchanges) == 3


def page(number: int, total: int, *orders: object) -> Reply:
    data = {"total": total, "page": number, "pageSize": 50, "orders": list(orders) or None}
    return says("OK", 200, data)


async def test_all_pages(wire: Wire) -> None:
    """The list is read to its end, oldest first, each order once."""
    two = {**SEEN, "id": "two"}
    wire.server.script(page(1, 4, SEEN, {"id": 7}), page(2, 4, two, SEEN), page(3, 4))
    query = await wire.client.orders("NGN", "pending")
    assert query.listed is Listed.FOUND
    assert [order.order_id for order in query.orders] == [ORDER, "two"]
    asked = [dict(parse_qsl(heard.query)) for heard in wire.heard]
    assert [one.pop("page") for one in asked] == ["1", "2"]
    for one in asked:
        one.pop("timestamp")
        assert one == {"currency": "NGN", "status": "pending", "ordering": "asc", "pageSize": "50"}
    for heard in wire.heard:
        assert_signed(heard)


async def test_an_empty_list_and_a_broken_one_differ(wire: Wire) -> None:
    """``orders: null`` is no orders; a page that cannot be read is no answer at all."""
    wire.server.script(page(1, 0))
    query = await wire.client.orders("NGN")
    assert (query.listed, query.orders) == (Listed.FOUND, ())
    assert "status" not in wire.heard[0].query
    for broken in (says("OK", 200, []), says("Currency not found", 400), Reply(200, b"[]")):
        wire.server.script(page(1, 2, SEEN), broken)
        query = await wire.client.orders("NGN")
        assert (query.listed, query.orders) == (Listed.UNAVAILABLE, ())


async def test_a_list_without_end_is_given_up(wire: Wire) -> None:
    """A total that is never reached does not ask for ever."""
    wire.server.script(page(1, 10**9, SEEN))
    query = await wire.client.orders("NGN")
    assert query.listed is Listed.UNAVAILABLE
    assert len(wire.heard) == 200


async def test_small_questions(wire: Wire) -> None:
    """Rates, stats and node-info: data or none."""
    rate = {"sell": {"marketRate": "1500.5"}, "buy": {}}
    wire.server.script(says("OK", 200, rate))
    assert await wire.client.rates("USDT", "NGN") == rate
    wire.server.script(says("OK", 200, {"totalOrders": 3}))
    assert await wire.client.stats("NGN") == {"totalOrders": "3"}
    wire.server.script(says("not supported", 400))
    assert await wire.client.rates("USDT", "NGN") is None
    assert len(wire.heard) == 1
    wire.server.script(says("OK", 200, {"serviceInfo": {}}))
    assert (await wire.client.node_info()).said is Said.DONE
    wire.server.script(says("Node is unreachable", 503))
    info = await wire.client.node_info()
    assert (info.said, info.message) == (Said.UNKNOWN, "Node is unreachable")
    assert wire.heard[0].path == "/v1/provider/node-info"


# -- what is kept


async def test_exchanges_are_redacted(wire: Wire) -> None:
    """No signature, no secret, and of the recipient only what lets a person compare."""
    wire.server.script(STALE, YES)
    answer = await wire.client.accept(ORDER, Dialect.LIVE, 5)
    kept = repr(answer.exchanges)
    for heard in wire.heard:
        assert heard.headers["authorization"].rpartition(":")[2] not in kept
    for word in (SECRET, "0123456789", "OBI", "rent"):
        assert word not in kept
    assert "6789" in kept
    first, second = answer.exchanges
    assert (first.status, second.status) == (401, 201)
    assert (second.counterparty, second.verb) == ("aggregator", "accept")
    assert second.path == f"/v1/provider/orders/{ORDER}/accept"
    assert '"timestamp":' in second.request
    assert second.started_ms > first.started_ms
