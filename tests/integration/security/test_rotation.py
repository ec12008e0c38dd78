"""Each secret is changed while the node goes on: with the overlap old and new are both good, and
afterwards the old one is refused. What has no overlap loses nothing in the gap.

``docs/runbooks/key-rotation.md`` tells an operator the steps that are done here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import pytest
from standardwebhooks import Webhook

from tests.acceptance.counterparty.signing import lenco_signature, python_json, sign
from tests.integration.payments_out.conftest import shop, world
from tests.integration.payments_out.face import face_of
from tests.integration.payments_out.world import DAY_S, Receiver
from tests.integration.payments_out.world import World as Deliveries
from tests.support.node import LocalNode
from tests.support.world import OpenWorld, World, open_world
from tidegate.cases.switches import switch_off, switch_on
from tidegate.cases.tables import cases
from tidegate.clock import SystemClock
from tidegate.db.vault import Vault
from tidegate.payments.tables import webhook_endpoints
from tidegate.payouts.states import State
from tidegate.payouts.tables import payouts
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.faults import AggregatorFault, BankFault

__all__ = ["open_world", "shop", "world"]

OLD: Final = {
    "AGGREGATOR_SECRET_KEY": "the-aggregators-old-secret-0123456789",
    "LENCO_API_KEY": "the-old-token-of-lenco-0123456789",
    "STRIPE_WEBHOOK_SECRET": "whsec_the_old_one_0123456789",
    "JWT_SECRET": "the-old-secret-of-access-tokens-0123456789",
    "SECRET_KEY": "the-old-secret-key-of-this-node-0123456789",
}
NEW: Final = {name: value.replace("old", "new") for name, value in OLD.items()}
_STRIPE_KEY = "sk_test_rotation_0123456789"
_WHO = {"email": "ada@example.com", "password": "seven purple tractors"}


def _overlap() -> dict[str, str]:
    """The settings of the step between: new secrets, and the old ones as the previous."""
    return {name: value for each in OLD for name, value in _changed(each).items()}


def _changed(name: str) -> dict[str, str]:
    """One secret is changed."""
    return {name: NEW[name], f"{name}_PREVIOUS": OLD[name]}


# -- what others sign, as they do -------------------------------------------------------------


Call = tuple[str, dict[str, str], bytes]


def _of_the_aggregator_live(secret: str) -> Call:
    body = json.dumps({"orderId": "nobody-knows-this-one"}).encode()
    return "/tx_status", {"X-Request-Signature": sign(secret, body)}, body


def _of_the_aggregator_spec(secret: str, client_id: str) -> Call:
    offer = {"orderId": "x", "timestamp": SystemClock().now_ms() // 1000}
    body = python_json(offer)
    return "/orders", {"Authorization": f"HMAC {client_id}:{sign(secret, body)}"}, body


def _of_lenco(token: str) -> Call:
    body = json.dumps({"event": "transaction.noted", "data": {"id": token[4:7]}}).encode()
    return "/webhooks/psp/lenco", {"X-Lenco-Signature": lenco_signature(token, body)}, body


def _of_stripe(secret: str) -> Call:
    at = SystemClock().now_ms() // 1000
    event = {"id": f"evt_{secret[10:13]}", "type": "customer.created", "created": at}
    body = json.dumps({**event, "livemode": False, "data": {"object": {"id": "cus_1"}}}).encode()
    signed = hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    return "/api/webhooks/stripe", {"Stripe-Signature": f"t={at},v1={signed}"}, body


async def _believed(node: LocalNode, call: Call) -> bool:
    """Whether the signature was good; what else is wrong with the body is another matter."""
    path, headers, body = call
    given = {**headers, "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{node.url}{path}", data=body, headers=given) as answer,
    ):
        text = await answer.text()
        assert answer.status < 500, text
        return answer.status != 401 and "signature is missing or does not fit" not in text


async def _believed_from(node: LocalNode, secrets: Mapping[str, str]) -> set[str]:
    """Whose calls, made with these secrets, the node believes."""
    client_id = node.settings.aggregator.client_id
    calls = {
        "aggregator, live": _of_the_aggregator_live(secrets["AGGREGATOR_SECRET_KEY"]),
        "aggregator, spec": _of_the_aggregator_spec(secrets["AGGREGATOR_SECRET_KEY"], client_id),
        "lenco": _of_lenco(secrets["LENCO_API_KEY"]),
        "stripe": _of_stripe(secrets["STRIPE_WEBHOOK_SECRET"]),
    }
    return {who for who, call in calls.items() if await _believed(node, call)}


_EVERYBODY = {"aggregator, live", "aggregator, spec", "lenco", "stripe"}


# -- what we sign ourselves -------------------------------------------------------------------


class _User:
    """A client of the payment API with one session."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.cookie = ""

    async def ask(
        self, node: LocalNode, method: str, path: str, json: Any = None, **headers: str
    ) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{node.url}/api{path}", json=json, headers=headers) as answer,
        ):
            if "refresh_token" in answer.cookies:
                self.cookie = answer.cookies["refresh_token"].value
            return answer.status, await answer.json(content_type=None)

    async def log_in(self, node: LocalNode) -> None:
        await self.ask(node, "POST", "/auth/register", _WHO)
        status, grant = await self.ask(node, "POST", "/auth/login", _WHO)
        assert status == 200, grant
        self.tokens.append(grant["access_token"])

    async def refreshed(self, node: LocalNode) -> int:
        cookie = {"Cookie": f"refresh_token={self.cookie}"}
        status, grant = await self.ask(node, "POST", "/auth/refresh", **cookie)
        if status == 200:
            self.tokens.append(grant["access_token"])
        return status

    async def known_by(self, node: LocalNode, token: str) -> bool:
        given = {"Authorization": f"Bearer {token}"}
        status, _ = await self.ask(node, "GET", "/auth/me", **given)
        return status == 200


async def _restarted(opened: World, node: LocalNode | None, **env: str) -> LocalNode:
    if node is not None:
        await node.stop()
    more = {"STRIPE_API_KEY": _STRIPE_KEY, "STRIPE_API_BASE": "http://127.0.0.1:1"}
    return await opened.idle(works=True, **more, **env)


async def test_old_and_new_are_good_together_and_then_the_new_one_alone(
    open_world: OpenWorld,
) -> None:
    """Calls of the aggregator in both dialects, webhooks of the PSP and events of the processor,
    access tokens, sessions, and the stored secret of a webhook endpoint."""
    opened, user, another = await open_world(), _User(), _User()
    node = await _restarted(opened, None, **OLD)
    assert await _believed_from(node, OLD) == _EVERYBODY
    assert await _believed_from(node, NEW) == set()
    await user.log_in(node)
    await another.log_in(node)
    old_token = user.tokens[0]
    endpoint = {"url": "http://127.0.0.1:9999/hook", "events": ["*"]}
    bearer = {"Authorization": f"Bearer {old_token}"}
    status, made = await user.ask(node, "POST", "/webhook-endpoints", endpoint, **bearer)
    assert status == 201, made

    node = await _restarted(opened, node, **_overlap())
    assert await _believed_from(node, OLD) == _EVERYBODY
    assert await _believed_from(node, NEW) == _EVERYBODY
    assert await user.known_by(node, old_token)
    assert await user.refreshed(node) == 200
    new_token = user.tokens[-1]
    vault = Vault(NEW["SECRET_KEY"])

    async def renewed() -> bool:
        (row,) = await opened.rows(webhook_endpoints)
        return bool(vault.is_current(row["secret"]))

    await opened.until(renewed, 15, "the endpoint's secret under the new key")

    node = await _restarted(opened, node, **NEW)
    assert await _believed_from(node, OLD) == set()
    assert await _believed_from(node, NEW) == _EVERYBODY
    assert not await user.known_by(node, old_token)
    assert await user.known_by(node, new_token)
    assert await user.refreshed(node) == 200, "a session that moved lives on"
    assert await another.refreshed(node) == 401, "a session that never moved ends"
    (row,) = await opened.rows(webhook_endpoints)
    assert vault.decrypt(row["secret"]) == made["secret"]


# -- what has one key at a time: the gap loses nothing ----------------------------------------


@pytest.fixture
async def paying(open_world: OpenWorld) -> World:
    opened = await open_world()
    opened.aggregator.change_secret(OLD["AGGREGATOR_SECRET_KEY"])
    opened.bank.change_token(OLD["LENCO_API_KEY"])
    return opened


async def _has(opened: World, kind: str) -> bool:
    return bool(await opened.rows(cases, cases.c.kind == kind))


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_a_report_that_the_aggregator_refuses_is_told_under_the_new_secret(
    paying: World,
) -> None:
    """The aggregator changed first: what was paid stays paid and due, a case says why, and the
    report arrives after our change. Nothing is paid again."""
    node = await paying.local(**OLD)
    order_id = await paying.offer(AggregatorFault.FULFIL_500, times=None)
    await paying.reaches(order_id, State.PAID)
    paying.aggregator.change_secret(NEW["AGGREGATOR_SECRET_KEY"])
    paying.heal()
    await paying.until(lambda: _has(paying, "aggregator_refuses_us"), 30, "the case")
    assert (await paying.payout(order_id))["state"] == State.PAID
    await node.stop()
    await paying.idle(works=True, **{**OLD, **_changed("AGGREGATOR_SECRET_KEY")})
    await paying.reaches(order_id, State.FULFILLED, 30)
    assert paying.bank.books.paid_more_than_once() == []


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_a_transfer_that_is_under_way_outlives_the_token(paying: World) -> None:
    """Lenco's old token ends while a transfer is open: look-ups are refused, the case opens, the
    order stays as it is; with the new token it is found and paid once."""
    node = await paying.local(**OLD)
    order_id = await paying.offer(bank_faults=[BankFault.QUEUED], times=None)
    await paying.reaches(order_id, State.PROCESSING)
    paying.bank.change_token(NEW["LENCO_API_KEY"])
    await paying.until(lambda: _has(paying, "psp_refuses_us"), 30, "the case")
    assert (await paying.payout(order_id))["state"] == State.PROCESSING
    await node.stop()
    paying.heal()
    await paying.idle(works=True, **{**OLD, **_changed("LENCO_API_KEY")})
    await paying.reaches(order_id, State.FULFILLED, 30)
    assert paying.bank.books.paid_more_than_once() == []


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_new_orders_are_declined_while_a_psp_is_switched_off(paying: World) -> None:
    """The runbook's way without refused calls: nothing is sent with a token that may be void."""
    node = await paying.local(**OLD)
    why = {"by": "ada", "origin": "cli", "reason": "the token is changed"}
    await node.app.committer.commit(switch_off("psp", "lenco", **why))
    paying.bank.change_token(NEW["LENCO_API_KEY"])
    order_id = await paying.offer()
    await paying.reaches(order_id, State.DECLINED)
    await node.stop()
    node = await paying.idle(works=True, **{**OLD, **_changed("LENCO_API_KEY")})
    await node.app.committer.commit(switch_on("psp", "lenco", **why))
    await paying.able(node)
    await paying.reaches(await paying.offer(), State.FULFILLED, 30)
    assert not await _has(paying, "psp_refuses_us")
    assert len(await paying.rows(payouts)) == 2


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
async def test_a_payment_goes_on_under_the_processors_new_key(open_world: OpenWorld) -> None:
    """Authorised under the old key, captured under the new one of the same account; with the old
    key alone, once it has expired, a payment is refused for certain and nothing is charged."""
    opened, user = await open_world(), _User()
    cards = SandboxCards(SystemClock(), api_key="sk_test_old", webhook_secret="whsec_1")
    await cards.start()
    env = {"STRIPE_API_BASE": cards.base_url, "STRIPE_WEBHOOK_SECRET": "whsec_1"}
    try:
        node = await opened.idle(works=True, **env, STRIPE_API_KEY="sk_test_old")
        await user.log_in(node)
        wish = {"amount": 2500, "currency": "EUR", "capture_method": "manual"}

        async def post(path: str, body: Any, key: str) -> tuple[int, Any]:
            head = {"Authorization": f"Bearer {user.tokens[-1]}", "Idempotency-Key": key}
            return await user.ask(node, "POST", path, body, **head)

        _, method = await post("/payment-methods", {"token": "pm_card_visa"}, "card")
        wish["payment_method_id"] = method["id"]
        status, held = await post("/payments", wish, "first")
        assert (status, held["status"]) == (201, "requires_capture"), held
        cards.change_key("sk_test_new")
        assert (await post("/payments", wish, "second"))[0] == 424
        await node.stop()
        node = await opened.idle(works=True, **env, STRIPE_API_KEY="sk_test_new")
        status, captured = await post(f"/payments/{held['id']}/capture", {}, "capture")
        assert (status, captured["status"]) == (200, "succeeded"), captured
        assert (await post("/payments", wish, "third"))[0] == 201
        await node.stop()
    finally:
        await cards.stop()


async def test_messages_to_a_receiver_carry_both_secrets_for_a_day(
    world: Deliveries, shop: Receiver
) -> None:
    """The owner changes the secret of an endpoint: for a day a receiver may verify with either,
    then the new one alone fits."""
    async with face_of(world) as face:
        given = {"url": shop.url, "events": ["*"]}
        async with face.call("POST", "/webhook-endpoints", json=given) as answer:
            old = await answer.json()
        async with face.call("POST", f"/webhook-endpoints/{old['id']}/rotate") as answer:
            new = await answer.json()
    fits: list[list[bool]] = []
    await world.pay("pay_1")
    for wait_s in (1, DAY_S - 60, 120):
        await world.pass_time(wait_s)
        await world.happen("pay_1")
        await world.work()
        heard = shop.took[-1]
        fits.append([_fits(each["secret"], heard.body, heard.headers) for each in (old, new)])
    assert fits == [[True, True], [True, True], [False, True]]


def _fits(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether a receiver's library makes one of these signatures; its clock does not know ours."""
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    made = Webhook(secret).sign(headers["webhook-id"], at, body.decode())
    return made in headers["webhook-signature"].split(" ")
