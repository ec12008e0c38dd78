"""``/api/ops``: who may, what is seen, what is done, and what is written down of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from tests.integration.api.ops_world import STRIPE_KEY, WEBHOOK_SECRET, Ops, ops, prepare
from tests.integration.cli.payments_world import (
    FRESH,
    MISSING,
    PAID,
    SEALED,
    SECRET,
    UNKNOWN,
    prepare_payments,
)
from tests.integration.cli.world import ACCOUNT, FULFILLED, HELD, NAME
from tests.support.databases import Prepare
from tidegate.cases.switches import switches
from tidegate.cases.tables import cases, operator_actions
from tidegate.clock import SystemClock
from tidegate.db.inbox import inbox
from tidegate.payments.tables import deliveries, payments, webhook_endpoints
from tidegate.payouts.tables import attempts
from tidegate.sandbox.cards import SandboxCards

WHY = {"reason": "support confirmed it"}
CLOSE = {**WHY, "as": "failed", "evidence": "no object in the dashboard"}
RESOLVE = {**WHY, "as": "unpaid", "evidence": "the statement of Friday"}
ACTIONS = [
    ("POST", f"/api/ops/orders/{HELD}/look"),
    ("POST", f"/api/ops/orders/{HELD}/resolve"),
    ("POST", f"/api/ops/payments/{UNKNOWN}/look"),
    ("POST", f"/api/ops/payments/{UNKNOWN}/resolve"),
    ("POST", "/api/ops/cases/1/assign"),
    ("POST", "/api/ops/cases/1/note"),
    ("POST", "/api/ops/cases/1/close"),
    ("POST", "/api/ops/inbox/inb_1/read-again"),
    ("POST", "/api/ops/deliveries/dlv_1/redeliver"),
    ("POST", "/api/ops/switches/psp/lenco/off"),
    ("POST", "/api/ops/switches/psp/lenco/on"),
]
READINGS = [
    ("GET", f"/api/ops/{name}")
    for name in (
        "orders",
        f"orders/{HELD}",
        "payments",
        f"payments/{PAID}",
        "balances",
        "cases",
        "cases/1",
        "inbox",
        "inbox/inb_1",
        "deliveries",
        "switches",
    )
]


@pytest.fixture
def filled(make_template: Callable[[str, Prepare], Callable[[], str]]) -> str:
    return make_template("api_ops", prepare)()


@pytest.fixture
async def node(filled: str) -> AsyncIterator[Ops]:
    async with ops(filled) as made:
        yield made


async def test_only_operators_may(node: Ops) -> None:
    """Nobody gets 401, a user 403, everywhere; and nothing is done."""
    user = await node.log_in("user@example.com")
    for method, path in (*READINGS, *ACTIONS):
        body = {**CLOSE, "owner": "ada"} if method == "POST" else None
        status, problem = await node.ask(method, path, body)
        assert (path, status, problem["code"]) == (path, 401, "not_authenticated")
        status, problem = await node.ask(method, path, body, user)
        assert (path, status, problem["code"]) == (path, 403, "forbidden")
    assert await node.rows(operator_actions) == []


async def test_the_role_is_what_the_database_says_now(node: Ops) -> None:
    """One token: refused, let in as operator and as admin, and refused again."""
    email = "ada@example.com"
    token = await node.log_in(email)
    seen = []
    for role in ("user", "operator", "admin", "user"):
        await node.set_role(email, role)
        seen.append((await node.ask("GET", "/api/ops/balances", token=token))[0])
    assert seen == [403, 200, 200, 403]


async def test_every_reading_answers(node: Ops) -> None:
    """And tells neither secrets nor personal data."""
    token = await node.log_in("ada@example.com", "operator")
    for method, path in READINGS:
        status, body = await node.ask(method, path, token=token)
        assert (path, status) == (path, 200)
        for secret in (SECRET, ACCOUNT, NAME, SEALED):
            assert secret not in str(body), path


async def test_lists_go_on_by_cursor_and_are_filtered(node: Ops) -> None:
    """Newest first; each list has its own cursors."""
    token = await node.log_in("ada@example.com", "operator")

    async def walk(path: str) -> list[str]:
        found, cursor = [], ""
        while True:
            mark = "&" if "?" in path else "?"
            _, page = await node.ask("GET", f"{path}{mark}limit=1{cursor}", token=token)
            found += [str(each["id"]) for each in page["data"]]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    assert await walk("/api/ops/payments") == [MISSING, FRESH, UNKNOWN, PAID]
    assert await walk("/api/ops/payments?user_id=usr_1") == [PAID]
    assert await walk("/api/ops/payments?status=succeeded") == [PAID]
    assert await walk("/api/ops/orders") == ["po_3", "po_2", "po_1"]
    assert await walk("/api/ops/orders?state=held&state=fulfilled") == ["po_2", "po_1"]
    assert await walk("/api/ops/cases") == ["3", "2", "1"]
    assert await walk("/api/ops/cases?kind=payment_unknown") == ["2"]
    assert await walk("/api/ops/inbox?source=stripe") == ["inb_p2", "inb_p1"]
    assert await walk("/api/ops/deliveries?payment_id=pay_1") == ["dlv_1"]
    assert await walk("/api/ops/deliveries?state=waiting") == []
    _, page = await node.ask("GET", "/api/ops/payments?limit=1", token=token)
    status, problem = await node.ask(
        "GET", f"/api/ops/orders?cursor={page['next_cursor']}", token=token
    )
    assert (status, problem["errors"][0]["code"]) == (422, "cursor_invalid")


async def test_balances_tell_the_float_and_what_payments_moved(node: Ops) -> None:
    """In minor units, by the books."""
    token = await node.log_in("ada@example.com", "operator")
    _, body = await node.ask("GET", "/api/ops/balances", token=token)
    (lenco,) = body["float"]
    assert (lenco["psp"], lenco["reserved"], lenco["reading"]) == ("lenco", 1_100_00, 48_956_50)
    assert lenco["total"] == lenco["available"] + lenco["reserved"] + lenco["suspense"]
    accounts = {each["path"]: each["balance"] for each in body["payments"]}
    assert accounts["processor:stripe:balance:EUR"] == 2_000
    assert accounts["payments:refunding:EUR"] == 0


async def test_looking_makes_the_payment_due_and_is_written_down(node: Ops) -> None:
    """Who by the user's id, from where, why; the state is as it was."""
    token = await node.log_in("ada@example.com", "operator")
    _, me = await node.ask("GET", "/api/auth/me", token=token)
    status, body = await node.ask("POST", f"/api/ops/payments/{UNKNOWN}/look", WHY, token)
    assert (status, body["state"], body["due"]["kind"]) == (202, "confirming", "pay")
    (row,) = await node.rows(payments, id=UNKNOWN)
    assert row["due_at"] <= SystemClock().now_ms() + 5_000
    (action,) = await node.rows(operator_actions)
    assert (action["actor"], action["origin"]) == (me["id"], "api")
    assert (action["action"], action["subject"]) == ("payment.look", UNKNOWN)
    assert action["reason"] == WHY["reason"]


async def test_an_unknown_payment_is_closed_once(node: Ops) -> None:
    """The second time the state table has no such ending."""
    token = await node.log_in("ada@example.com", "admin")
    path = f"/api/ops/payments/{UNKNOWN}/resolve"
    status, body = await node.ask("POST", path, CLOSE, token)
    assert (status, body["status"]) == (200, "failed")
    assert body["failure"]["code"] == "closed_by_operator"
    status, problem = await node.ask("POST", path, CLOSE, token)
    assert (status, problem["code"]) == (409, "payment_state")
    (action,) = await node.rows(operator_actions)
    assert action["after"] == {"state": "failed", "evidence": CLOSE["evidence"]}
    (case,) = await node.rows(cases, subject=UNKNOWN)
    assert case["state"] == "closed"


@pytest.mark.parametrize("payment", [PAID, FRESH])
async def test_what_is_not_unknown_is_not_closed(node: Ops, payment: str) -> None:
    """Neither one that succeeded nor one that is merely young."""
    token = await node.log_in("ada@example.com", "operator")
    before = await node.rows(payments)
    status, problem = await node.ask("POST", f"/api/ops/payments/{payment}/resolve", CLOSE, token)
    assert (status, problem["code"]) == (409, "payment_state")
    assert await node.rows(payments) == before
    assert await node.rows(operator_actions) == []


@pytest.mark.parametrize(
    "body",
    [
        {**CLOSE, "as": "succeeded"},
        {**CLOSE, "reason": "  "},
        {"as": "failed", "reason": "no evidence"},
        {**CLOSE, "amount": 1},
        {**CLOSE, "evidence": "paid with 4242 4242 4242 4242"},
    ],
)
async def test_a_body_that_says_something_else_is_refused(
    node: Ops, body: dict[str, object]
) -> None:
    """No success, no blanks, nothing missing, nothing more, no card numbers in the log."""
    token = await node.log_in("ada@example.com", "operator")
    status, _ = await node.ask("POST", f"/api/ops/payments/{UNKNOWN}/resolve", body, token)
    assert status == 422
    (row,) = await node.rows(payments, id=UNKNOWN)
    assert row["state"] == "confirming"


async def test_an_order_is_looked_up_and_not_resolved_without_its_psp(node: Ops) -> None:
    """Looking makes its transfer due; a PSP that cannot be reached proves nothing, and what is not
    held is not resolved."""
    token = await node.log_in("ada@example.com", "operator")
    status, body = await node.ask("POST", f"/api/ops/orders/{HELD}/look", WHY, token)
    assert (status, body["state"]) == (202, "held")
    held = [row for row in await node.rows(attempts) if row["state"] == "held"]
    assert [row["kind"] for row in held] == ["confirm:lenco"]
    path = f"/api/ops/orders/{HELD}/resolve"
    status, problem = await node.ask("POST", path, RESOLVE, token)
    assert (status, problem["code"]) == (409, "not_proven")
    status, problem = await node.ask("POST", f"/api/ops/orders/{FULFILLED}/resolve", RESOLVE, token)
    assert (status, problem["code"]) == (409, "order_state")
    for wrong in ({**RESOLVE, "as": "succeeded"}, {**RESOLVE, "evidence": " "}, WHY):
        assert (await node.ask("POST", path, wrong, token))[0] == 422
    assert [row["action"] for row in await node.rows(operator_actions)] == ["order.look"]


async def test_a_case_is_given_noted_and_closed(node: Ops) -> None:
    """Each with its line; a closed one is neither given nor closed again."""
    token = await node.log_in("ada@example.com", "operator")
    _, given = await node.ask("POST", "/api/ops/cases/1/assign", {**WHY, "owner": "bo"}, token)
    assert given["owner"] == "bo"
    await node.ask("POST", "/api/ops/cases/1/note", {"reason": "asked the bank"}, token)
    status, closed = await node.ask("POST", "/api/ops/cases/1/close", {"reason": "paid"}, token)
    assert (status, closed["state"], closed["closing_note"]) == (200, "closed", "paid")
    done = [(each["action"], each["before"], each["after"]) for each in closed["actions"]]
    assert done == [
        ("case.assign", {"owner": None}, {"owner": "bo"}),
        ("case.note", None, None),
        ("case.close", {"state": "open"}, {"state": "closed"}),
    ]
    for name, body in (("assign", {**WHY, "owner": None}), ("close", WHY)):
        status, problem = await node.ask("POST", f"/api/ops/cases/1/{name}", body, token)
        assert (status, problem["code"]) == (409, "conflict")
    assert len(await node.rows(operator_actions)) == 3


async def test_a_webhook_is_read_again(node: Ops) -> None:
    """Due for the worker of its source."""
    token = await node.log_in("ada@example.com", "operator")
    status, body = await node.ask("POST", "/api/ops/inbox/inb_1/read-again", WHY, token)
    assert (status, body["state"], body["due"]["kind"]) == (202, "kept", "read:lenco")
    (row,) = await node.rows(inbox, id="inb_1")
    assert row["outcome"] is None
    (action,) = await node.rows(operator_actions)
    assert action["before"] == {"state": "read", "outcome": "look-up prompted"}


async def test_a_delivery_is_sent_again(node: Ops) -> None:
    """It waits, and its endpoint is due."""
    token = await node.log_in("ada@example.com", "operator")
    status, body = await node.ask("POST", "/api/ops/deliveries/dlv_1/redeliver", WHY, token)
    assert (status, body["state"], body["user_id"]) == (202, "waiting", "usr_1")
    (row,) = await node.rows(deliveries)
    assert (row["state"], row["tries"]) == ("waiting", 0)
    (endpoint,) = await node.rows(webhook_endpoints)
    assert endpoint["kind"] == "deliver"
    assert [row["action"] for row in await node.rows(operator_actions)] == ["delivery.redeliver"]


async def test_a_switch_goes_off_and_on(node: Ops) -> None:
    """Twice the same is a conflict; a name that nobody has switches nothing."""
    token = await node.log_in("ada@example.com", "operator")
    path = "/api/ops/switches/psp/lenco"
    status, body = await node.ask("POST", f"{path}/off", WHY, token)
    assert (status, body["off"], body["reason"]) == (200, True, WHY["reason"])
    assert (await node.ask("POST", f"{path}/off", WHY, token))[0] == 409
    _, listed = await node.ask("GET", "/api/ops/switches", token=token)
    assert {each["id"]: each["off"] for each in listed["data"]}["psp:lenco"] is True
    status, body = await node.ask("POST", f"{path}/on", WHY, token)
    assert (status, body["off"]) == (200, False)
    assert (await node.ask("POST", f"{path}/on", WHY, token))[0] == 409
    assert (await node.ask("POST", "/api/ops/switches/psp/lenko/off", WHY, token))[0] == 404
    assert await node.rows(switches) == []
    done = [row["action"] for row in await node.rows(operator_actions)]
    assert done == ["switch.off", "switch.on"]


@pytest.mark.parametrize(
    "path",
    [
        "orders/order-9/look",
        "payments/pay_9/look",
        "payments/pay_9/resolve",
        "cases/99/note",
        "inbox/inb_99/read-again",
        "deliveries/dlv_9/redeliver",
    ],
)
async def test_what_is_not_there_is_not_found(node: Ops, path: str) -> None:
    """And leaves no line in the log."""
    token = await node.log_in("ada@example.com", "operator")
    body = CLOSE if path.endswith("resolve") else WHY
    status, problem = await node.ask("POST", f"/api/ops/{path}", body, token)
    assert (status, problem["code"]) == (404, "not_found")
    assert await node.rows(operator_actions) == []


async def test_a_look_learns_what_happened_at_the_processor(
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> None:
    """Captured there by hand, without an event: asked at once, not in ten minutes, and the truth
    is the processor's. One that it does not know becomes a case, and can then be closed."""
    cards = SandboxCards(SystemClock(), api_key=STRIPE_KEY, webhook_secret=WEBHOOK_SECRET)
    await cards.start("127.0.0.1", 0)
    url = make_template("cli_payments", prepare_payments)()
    env = {
        "STRIPE_API_BASE": cards.base_url,
        "PAYMENT_LOOKUP_SCHEDULE": "600",
        # Nobody is there: nothing here is about payouts.
        "AGGREGATOR_BASE_URL": "http://127.0.0.1:9",
        "LENCO_BASE_URL": "http://127.0.0.1:9",
    }
    try:
        async with ops(url, env=env, works=True) as node:
            token = await node.log_in("ada@example.com", "operator")
            paid = await _authorised(node, token)
            await _capture_there(cards.base_url, paid["processor_reference"])
            assert await _state(node, paid["id"]) == "requires_capture"
            await node.ask("POST", f"/api/ops/payments/{paid['id']}/look", WHY, token)
            await _until(node, payments, id=paid["id"], state="succeeded")

            await node.ask("POST", f"/api/ops/payments/{FRESH}/look", WHY, token)
            await _until(node, cases, subject=FRESH, kind="payment_object_missing")
            path = f"/api/ops/payments/{FRESH}/resolve"
            status, body = await node.ask("POST", path, CLOSE, token)
            assert (status, body["state"]) == (200, "failed")
    finally:
        await cards.stop()


async def _authorised(node: Ops, token: str) -> dict[str, str]:
    _, method = await node.ask("POST", "/api/payment-methods", {"token": "pm_card_visa"}, token)
    wish = {
        "amount": 900,
        "currency": "EUR",
        "payment_method_id": method["id"],
        "capture_method": "manual",
    }
    status, made = await node.ask("POST", "/api/payments", wish, token, Idempotency_Key="one")
    assert (status, made["status"]) == (201, "requires_capture")
    found: dict[str, str] = made
    return found


async def _capture_there(base: str, reference: str) -> None:
    headers = {"Authorization": f"Bearer {STRIPE_KEY}", "Idempotency-Key": "by-hand"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{base}/v1/payment_intents/{reference}/capture", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def _state(node: Ops, payment_id: str) -> str:
    (row,) = await node.rows(payments, id=payment_id)
    return str(row["state"])


async def _until(node: Ops, table: Any, **where: str) -> None:
    """Wait for such a row."""
    for _ in range(200):
        if await node.rows(table, **where):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no row of {table.name} came to be {where}")
