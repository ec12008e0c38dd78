"""Every endpoint of the sandbox's aggregator: its success and its refusals, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.sandbox.aggregator_world import (
    CLIENT_ID,
    ORDER_ID,
    Json,
    canonical,
    envelope,
    signature,
    world,
)
from tidegate.sandbox.aggregator import Terms, Wrong

OTHER_ID = "00000000-0000-4000-8000-000000000000"


def _message(answer: tuple[int, Json]) -> tuple[int, str]:
    return answer[0], str(answer[1].get("message", ""))


# -- authentication -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "body", "status", "message"),
    [
        (None, {}, 401, "Missing Authorization header"),
        ("Bearer x", {}, 401, "Invalid Authorization header"),
        ("HMAC nocolon", {}, 401, "Invalid Authorization header format"),
        ("HMAC {id}:{sig}", b"", 400, "Invalid payload format"),
        ("HMAC {id}:{sig}", b"[1]", 400, "Invalid payload format"),
        ("HMAC {id}:{sig}", {"timestamp": None}, 401, "Missing or invalid timestamp in payload"),
        ("HMAC {id}:{sig}", {"timestamp": 0}, 401, "Missing or invalid timestamp in payload"),
        ("HMAC {id}:{sig}", {"timestamp": 1728201299}, 401, "Invalid timestamp"),
        ("HMAC me:{sig}", {}, 400, "Invalid API key ID"),
        ("HMAC " + OTHER_ID + ":{sig}", {}, 401, "Invalid API key or token"),
        ("HMAC {id}:deadbeef", {}, 401, "Invalid HMAC signature"),
        ("HMAC {id}:{SIG}", {}, 401, "Invalid HMAC signature"),
        ("HMAC {id}:{sig}", {"timestamp": 1728201300}, 404, "Order request not found"),
        ("HMAC {id}:{sig}", {"timestamp": "1728201600"}, 404, "Order request not found"),
        ("HMAC {id}:{sig}", {"timestamp": 1728201600000}, 404, "Order request not found"),
    ],
)
async def test_each_authentication_failure_has_its_code_and_message(
    header: str | None, body: Any, status: int, message: str
) -> None:
    """Section 2.5; exactly 300 s old, numeric text and any future pass (2.2)."""
    async with world() as w:
        raw = body if isinstance(body, bytes) else canonical({"timestamp": w.now_s, **body})
        sig = signature(raw)
        headers = {}
        if header is not None:
            headers = {"Authorization": header.format(id=CLIENT_ID, sig=sig, SIG=sig.upper())}
        got = await w.raw("POST", f"orders/{ORDER_ID}/accept", raw, headers)
        assert got[0] == status
        assert got[1]["status"] == "error"
        assert got[1]["data"] is None
        assert got[1]["message"].startswith(message)


async def test_a_signature_over_the_canonical_map_passes_for_other_bytes() -> None:
    """The second check: spaces on the wire, the canonical form signed; held against the node."""
    async with world() as w:
        order_id = await w.aggregator.offer("100")
        raw = json.dumps({"timestamp": w.now_s}).encode()
        sig = signature(canonical({"timestamp": w.now_s}))
        headers = {"Authorization": f"HMAC {CLIENT_ID}:{sig}"}
        status, _ = await w.raw("POST", f"orders/{order_id}/accept", raw, headers)
        assert status == 201
        assert w.wrongs == [Wrong.NOT_CANONICAL]


async def test_v2_has_queries_only() -> None:
    """Section 0: accept under /v2 is no route; orders and rates are."""
    async with world() as w:
        order_id = await w.accepted()
        got = await w.post(f"/v2/provider/orders/{order_id}/accept")
        assert _message(got) == (404, "Route Not Found")
        assert (await w.get(f"/v2/provider/orders/{order_id}"))[0] == 200
        assert (await w.get("/v2/provider/rates/USDT/NGN"))[0] == 200
        assert (await w.get("/v2/provider/stats", currency="NGN"))[0] == 404


# -- the offer ----------------------------------------------------------------------------------


async def test_a_live_offer_is_the_canonical_vector() -> None:
    """A01 and A02: the same bytes, the same signature, no recipient, no timestamp."""
    async with world() as w:
        await w.aggregator.offer("75375", order_id=ORDER_ID)
        (call,) = w.node.received
        assert call.path == "/new_order"
        assert call.body == (
            b'{"amount":"75375","currency":"NGN","institution":"ABNGNGLA",'
            b'"orderId":"3fa85f64-5717-4562-b3fc-2c963f66afa6"}'
        )
        sig = "6e2d73b2f10e57e472d954b71d805bc5d5e9067c4d8ff18019ac7a35d863985e"
        assert call.headers["X-Request-Signature"] == sig
        assert call.headers["Content-Type"] == "application/json"
        assert "Authorization" not in call.headers
    async with world() as w:
        await w.aggregator.offer("75375", order_id=ORDER_ID, exclude_psps=["lenco", "korapay"])
        sig = "9973c7e7b3b8bce71af27a111bc2d4dcaf242f9b02131fdbb1a5647b66130e5d"
        assert w.node.received[0].headers["X-Request-Signature"] == sig


@pytest.mark.parametrize(("figure", "wire"), [("736.5", "736"), ("737.5", "738")])
async def test_live_amounts_are_whole_units_half_to_even(figure: str, wire: str) -> None:
    """Section 1: banker's rounding to no decimals, in the offer and in accept's answer."""
    async with world() as w:
        order_id = await w.aggregator.offer(figure)
        assert w.node.received[0].document["amount"] == wire
        assert (await w.accept(order_id))[1]["data"]["amount"] == wire


async def test_a_spec_offer_carries_the_recipient_and_floats() -> None:
    """SPEC: POST /orders, HMAC header, float amounts, expiresAt; a timestamp only if asked."""
    async with world(dialect="spec") as w:
        order_id = await w.aggregator.offer("50000", order_id=ORDER_ID, memo="rent", reference="r")
        (call,) = w.node.received
        assert call.path == "/orders"
        assert b'"amount": 50000.0' in call.body
        body = call.document
        assert body["recipient"] == {
            "institution": "ABNGNGLA",
            "accountIdentifier": "0123456789",
            "accountName": "TEST RECIPIENT",
            "memo": "rent",
        }
        assert body["orderId"] == order_id
        assert body["expiresAt"] == "2024-10-06T08:00:30.000Z"
        assert "timestamp" not in body
        signed = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        assert call.headers["Authorization"] == f"HMAC {CLIENT_ID}:{signature(signed)}"
        await w.aggregator.offer("1.5", timestamp=True, expires_at=False)
        body = w.node.received[1].document
        assert body["timestamp"] == w.now_s
        assert body["amount"] == 1.5
        assert "expiresAt" not in body


# -- accept and decline -------------------------------------------------------------------------


async def test_accept_answers_the_recipient_and_is_idempotent() -> None:
    """4.1: 201 with the details, and the same again while fulfilling."""
    async with world() as w:
        order_id = await w.aggregator.offer("75375", memo="rent", account="0690000031")
        first = await w.accept(order_id)
        assert first[0] == 201
        assert first[1]["message"] == "Order request accepted successfully"
        assert first[1]["data"] == {
            "id": order_id,
            "direction": "payout",
            "amount": "75375",
            "institution": "ABNGNGLA",
            "accountIdentifier": "0690000031",
            "accountName": "TEST RECIPIENT",
            "memo": "rent",
        }
        assert await w.accept(order_id) == first
        assert w.status(order_id) == "fulfilling"
        assert w.wrongs == []


async def test_accept_is_refused_without_an_offer_of_ours() -> None:
    """4.1: unknown, expired, progressed and malformed ids."""
    async with world() as w:
        gone = (404, "Order request not found or is expired")
        assert _message(await w.accept(ORDER_ID)) == gone
        assert _message(await w.accept("12")) == (400, "Invalid Order ID")
        order_id = await w.accepted()
        await w.fulfil(order_id, "pending")
        assert _message(await w.accept(order_id)) == gone
        assert w.wrongs == [Wrong.ACCEPT_WITHOUT_OFFER]


async def test_accept_with_a_key_says_what_the_order_is_already() -> None:
    """4.1: the offer key still stands, the order is further: 400 with its state."""
    async with world() as w:
        order_id = await w.aggregator.offer("100", private=True)
        await w.fulfil(order_id, "success")
        got = await w.accept(order_id)
        assert _message(got) == (400, "Order cannot be accepted: order is already validated")


async def test_decline_works_once_and_only_while_the_offer_lives() -> None:
    """4.2: 200, then 404; 404 after expiry and for strangers."""
    async with world(Terms(reoffer="stock")) as w:
        gone = (404, "Order request not found or is expired")
        order_id = await w.aggregator.offer("100")
        assert _message(await w.decline(order_id)) == (200, "Order request declined successfully")
        assert _message(await w.decline(order_id)) == gone
        assert _message(await w.decline(ORDER_ID)) == gone
        late = await w.aggregator.offer("100")
        await w.pass_time(30)
        assert _message(await w.decline(late)) == gone
        assert w.wrongs == []


# -- fulfil -------------------------------------------------------------------------------------


async def test_fulfil_pending_then_success_settles() -> None:
    """4.3 and 5: fulfilled, validated, settling, settled, and the final answers after it."""
    async with world() as w:
        order_id = await w.accepted()
        assert _message(await w.fulfil(order_id, "pending")) == (
            200,
            "Order fulfilled successfully",
        )
        assert w.status(order_id) == "fulfilled"
        assert (await w.fulfil(order_id, "pending"))[0] == 200
        assert (await w.fulfil(order_id, "success"))[0] == 200
        assert w.status(order_id) == "validated"
        await w.pass_time(1)
        assert w.status(order_id) == "settling"
        await w.pass_time(1)
        assert w.status(order_id) == "settled"
        assert w.wrongs == []
        assert _message(await w.fulfil(order_id, "success")) == (200, "Order already settled")


async def test_fulfil_failed_is_answered_and_repeated() -> None:
    """4.3: fulfilled with a failed row; the exact repeat says so."""
    async with world() as w:
        order_id = await w.accepted()
        assert (await w.fulfil(order_id, "failed", error="Invalid account"))[0] == 200
        assert w.status(order_id) == "fulfilled"
        assert w.aggregator.order(order_id).fulfilments[0].error == "Invalid account"
        assert _message(await w.fulfil(order_id, "failed")) == (200, "Order already failed")
        assert w.wrongs == []


async def test_fulfil_names_the_missing_go_fields() -> None:
    """4.3: psp and txId are required; the list holds Go's names."""
    async with world() as w:
        order_id = await w.accepted()
        status, body = await w.post(f"orders/{order_id}/fulfill", {"validationStatus": "success"})
        assert (status, body["message"]) == (400, "Failed to validate payload")
        assert body["data"] == [
            {"field": "PSP", "message": "This field is required"},
            {"field": "TxID", "message": "This field is required"},
        ]
        assert w.wrongs == [Wrong.FIELD_MISSING]


async def test_a_wrong_json_type_is_500_without_a_body() -> None:
    """4.3: LIVE's handler panics."""
    async with world() as w:
        order_id = await w.accepted()
        body = {"psp": "lenco", "txId": 7, "validationStatus": "success"}
        assert await w.post(f"orders/{order_id}/fulfill", body) == (500, {})
        assert await w.post(f"orders/{order_id}/cancel", {"reason": 7}) == (500, {})
        assert w.wrongs == [Wrong.JSON_TYPE, Wrong.JSON_TYPE]


async def test_a_second_tx_id_is_refused_while_the_first_stands() -> None:
    """4.3: pending and success rows block another txId; failed ones do not."""
    async with world() as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "pending", "tg-1")
        assert _message(await w.fulfil(order_id, "pending", "tg-2")) == (
            400,
            "Order already has a fulfillment (Status: pending, TxID: tg-1)",
        )
        await w.fulfil(order_id, "failed", "tg-1")
        assert (await w.fulfil(order_id, "pending", "tg-2"))[0] == 200


async def test_the_tx_id_is_a_key_over_all_orders() -> None:
    """4.3: pending under another order's txId moves that other order."""
    async with world() as w:
        first, second = await w.accepted(), await w.accepted()
        await w.fulfil(first, "pending", "tg-1")
        await w.pass_time(1)
        assert (await w.fulfil(second, "pending", "tg-1"))[0] == 200
        assert w.status(second) == "fulfilling"
        assert w.wrongs == [Wrong.TX_OF_ANOTHER_ORDER]
        assert (await w.fulfil(second, "success", "tg-1"))[0] == 200
        assert w.status(second) == "validated"


async def test_a_stray_fulfil_is_403_and_leaves_an_orphan_row() -> None:
    """4.3: the row is made before ownership is checked, and blocks whoever comes next."""
    async with world() as w:
        order_id = await w.aggregator.offer("100")
        assert _message(await w.fulfil(order_id, "success", "tg-9")) == (
            403,
            "Order does not belong to provider",
        )
        await w.accept(order_id)
        assert (await w.fulfil(order_id, "pending", "tg-1"))[0] == 400
        unknown = await w.fulfil(ORDER_ID, "success")
        assert _message(unknown) == (500, "Failed to update order status")


async def test_success_while_settling_settles_a_second_time() -> None:
    """4.3: back to validated, a second settlement; held against the node."""
    async with world() as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "success")
        await w.pass_time(1)
        assert w.status(order_id) == "settling"
        await w.fulfil(order_id, "success")
        assert w.status(order_id) == "validated"
        assert w.wrongs == [Wrong.SUCCESS_WHILE_SETTLING]
        await w.pass_time(1)
        await w.pass_time(1)
        assert w.status(order_id) == "settled"


async def test_late_success_is_taken_from_cancelled() -> None:
    """Hazard 16: no state filter while the provider edge is ours."""
    async with world() as w:
        order_id = await w.accepted()
        await w.cancel(order_id)
        assert (await w.fulfil(order_id, "success"))[0] == 200
        assert w.status(order_id) == "validated"
        assert w.wrongs == [Wrong.FULFIL_AFTER_CANCEL]


async def test_fulfil_is_judged_in_the_dialect_of_its_order() -> None:
    """SPEC orders take transactionHash, LIVE orders psp and txId; each refuses the other."""
    async with world() as w:
        spec, live = await w.accepted(dialect="spec"), await w.accepted()
        hashed = {"transactionHash": "lenco-1"}
        assert (await w.post(f"orders/{live}/fulfill", hashed))[0] == 400
        assert (await w.fulfil(spec, "success"))[0] == 400
        assert w.wrongs == [Wrong.FULFIL_DIALECT, Wrong.FULFIL_DIALECT]
        assert (await w.post(f"orders/{spec}/fulfill", {}))[0] == 400
        assert (await w.post(f"orders/{spec}/fulfill", {"transactionHash": 7}))[0] == 500
        assert (await w.post(f"orders/{spec}/fulfill", hashed))[0] == 200
        assert w.status(spec) == "validated"


# -- cancel -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "private", "count"),
    [
        ("Invalid recipient bank details", False, 3),
        ("Insufficient funds", False, 0),
        ("insufficient funds", False, 1),
        ("Bank closed", False, 1),
        ("Bank closed", True, 3),
    ],
)
async def test_a_cancel_counts_by_its_exact_reason(reason: str, private: bool, count: int) -> None:
    """4.4: the table of weights; private providers always count three."""
    async with world() as w:
        order_id = await w.accepted(private=private)
        assert _message(await w.cancel(order_id, reason)) == (200, "Order cancelled successfully")
        order = w.aggregator.order(order_id)
        assert (order.status, order.cancel_count) == ("cancelled", count)
        assert order.cancel_reasons == ([] if reason == "Insufficient funds" else [reason])
        assert w.wrongs == []


async def test_cancel_refusals() -> None:
    """4.4: the reason is required; 404 unless the order is ours."""
    async with world() as w:
        status, body = await w.post(f"orders/{ORDER_ID}/cancel", {})
        assert status == 400
        assert body["data"][0]["field"] == "Reason"
        assert _message(await w.cancel(ORDER_ID)) == (404, "Could not find payment order")
        offered = await w.aggregator.offer("100")
        assert (await w.cancel(offered))[0] == 404


async def test_cancel_checks_no_status() -> None:
    """4.4: even a settled order is re-opened; held against the node."""
    async with world() as w:
        order_id = await w.accepted()
        await w.fulfil(order_id, "success")
        await w.pass_time(1)
        await w.pass_time(1)
        assert (await w.cancel(order_id))[0] == 200
        assert w.status(order_id) == "cancelled"
        assert w.wrongs == [Wrong.CANCEL_AFTER_FULFIL]


# -- balances -----------------------------------------------------------------------------------


async def test_a_balance_is_believed_up_to_what_is_not_reserved() -> None:
    """4.5: stored available = max(0, min(reported, total - aggregator's reserved))."""
    async with world() as w:
        await w.aggregator.offer("30000")
        assert _message(await w.balance("90000.00", "100000.00")) == (
            200,
            "Balance updated successfully",
        )
        row = w.aggregator.balance()
        assert (str(row.available), str(row.reserved)) == ("70000.00", "30000")
        assert (row.reported_available, row.reported_total) == ("90000.00", "100000.00")


async def test_success_gives_the_reservation_back_without_lowering_total() -> None:
    """4.5: available is overstated until the next push."""
    async with world() as w:
        await w.balance("100000.00", "100000.00")
        order_id = await w.accepted("30000")
        assert str(w.aggregator.balance().available) == "70000.00"
        await w.fulfil(order_id, "success")
        assert str(w.aggregator.balance().available) == "100000.00"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"availableBalance": ".5"}, 400),
        ({"availableBalance": "1e5"}, 400),
        ({"totalBalance": "1,000"}, 400),
        ({"reservedBalance": ""}, 400),
        ({"currency": "NG"}, 400),
        ({"currency": "USD"}, 500),
        ({"availableBalance": 5}, 500),
    ],
)
async def test_a_badly_formed_balance_is_refused(change: Json, status: int) -> None:
    """4.5: strings of digits with one point; a JSON number is a panic."""
    async with world() as w:
        body = {
            "currency": "NGN",
            "availableBalance": "5",
            "totalBalance": "5",
            "reservedBalance": "0",
        }
        assert (await w.post("balances", body | change))[0] == status
        assert len(w.wrongs) == 1


async def test_balances_in_the_spec_shape_are_taken_unless_live_only() -> None:
    """Both shapes by default; by setting the wrong one is refused as LIVE does."""
    body = {"balances": [{"currency": "NGN", "available": 5.5, "total": 9, "reserved": 3.5}]}
    async with world() as w:
        assert (await w.post("balances", body))[0] == 200
        assert w.aggregator.balance().reported_available == "5.5"
        wrong = {"balances": [{"currency": "NGN", "available": "5", "total": 9, "reserved": 4}]}
        assert (await w.post("balances", wrong))[0] == 400
    async with world(Terms(balance_dialect="live", balance_work_s=0)) as w:
        status, answer = await w.post("balances", body)
        assert status == 400
        assert [row["field"] for row in answer["data"]] == [
            "Currency",
            "AvailableBalance",
            "TotalBalance",
            "ReservedBalance",
        ]
    async with world(Terms(balance_dialect="spec", balance_work_s=0)) as w:
        assert (await w.balance("1", "1"))[0] == 400


# -- queries ------------------------------------------------------------------------------------


async def test_one_order_is_seen_by_its_owner_only() -> None:
    """4.6: a public offer is 404 until accepted; a private one is seen as pending."""
    async with world() as w:
        public = await w.aggregator.offer("75000")
        gone = (404, "Payment order not found")
        assert _message(await w.get(f"orders/{public}")) == gone
        await w.accept(public)
        status, body = await w.get(f"orders/{public}")
        assert status == 200
        order = body["data"]
        assert (order["id"], order["status"]) == (public, "fulfilling")
        assert (order["amount"], order["rate"]) == ("50.000000", "1500")
        assert order["otcExpiry"] == "0001-01-01T00:00:00Z"
        private = await w.aggregator.offer("75000", private=True)
        assert (await w.get(f"orders/{private}"))[1]["data"]["status"] == "pending"
        assert _message(await w.get("orders/12")) == (400, "Invalid Order ID")


async def test_orders_are_listed_filtered_and_paged() -> None:
    """4.6: currency required, unknown status ignored, null instead of an empty page."""
    async with world() as w:
        ids = []
        for _ in range(12):
            ids.append(await w.accepted("1000"))
            await w.pass_time(0.001)
        await w.fulfil(ids[0], "success")
        first = (await w.get("orders", currency="NGN"))[1]["data"]
        assert (first["total"], first["page"], first["pageSize"]) == (12, 1, 10)
        assert [order["id"] for order in first["orders"]] == ids[:1:-1]
        query = {"currency": "NGN", "ordering": "asc", "page": "2", "pageSize": "5"}
        second = (await w.get("orders", **query))[1]["data"]
        assert [order["id"] for order in second["orders"]] == ids[5:10]
        paid = (await w.get("orders", currency="NGN", status="validated"))[1]["data"]
        assert [order["id"] for order in paid["orders"]] == ids[:1]
        assert (await w.get("orders", currency="NGN", status="what"))[1]["data"]["total"] == 12
        assert (await w.get("orders", currency="KES"))[1]["data"]["orders"] is None
        assert _message(await w.get("orders")) == (400, "Currency is required")
        assert _message(await w.get("orders", currency="EUR")) == (400, "Currency not found")


async def test_rates_and_stats() -> None:
    """4.6: strings; unsupported pairs are 400; stats count what was paid."""
    async with world() as w:
        status, body = await w.get("rates/USDT/NGN")
        assert (status, body["data"]["sell"]["marketRate"]) == (200, "1500")
        assert (await w.get("rates/DOGE/NGN"))[0] == 400
        order_id = await w.accepted("3000")
        await w.accepted("9000")
        await w.fulfil(order_id, "success")
        status, body = await w.get("stats", currency="NGN")
        assert body["data"] == {
            "totalOrders": 1,
            "totalFiatVolume": "3000",
            "totalCryptoVolume": "2.000000",
        }
        assert (await w.get("stats"))[0] == 400


async def test_node_info_is_the_nodes_own_document() -> None:
    """4.6: the whole /info under data; 503 when a currency of ours is missing or it is down."""
    async with world() as w:
        w.node.always["/info"] = lambda: envelope({"serviceInfo": {"currencies": ["NGN"]}})
        status, body = await w.get("node-info")
        assert status == 200
        assert body["data"]["data"]["serviceInfo"]["currencies"] == ["NGN"]
        w.aggregator.balance("KES")
        assert (await w.get("node-info"))[0] == 503
        w.node.always["/info"] = lambda: envelope(None, 500)
        assert (await w.get("node-info"))[0] == 503
        w.aggregator.node_url = None
        assert (await w.get("node-info"))[0] == 503


async def test_the_public_endpoints_need_no_signature() -> None:
    """Section 1 and 4.6: institutions, currencies, health."""
    async with world() as w:
        status, body = await w.raw("GET", "/v1/institutions/ngn", None, {})
        assert (status, body["message"]) == (200, "OK")
        assert {"name": "Access Bank", "code": "ABNGNGLA", "type": "bank"} in body["data"]
        assert (await w.raw("GET", "/v1/institutions/EUR", None, {}))[1]["data"] == []
        body = (await w.raw("GET", "/v1/currencies", None, {}))[1]
        assert body["data"][0]["code"] == "NGN"
        assert body["data"][0]["decimals"] == 2
        assert (await w.raw("GET", "/health", None, {})) == (200, {"live": "ok"})
        assert (await w.raw("GET", "/nothing", None, {}))[0] == 404


async def test_any_signed_call_can_be_sent_to_the_node() -> None:
    """A07: /verify_account, which no order stands behind."""
    async with world() as w:
        w.node.always["/verify_account"] = lambda: envelope("JOHN A DOE")
        payload = {"accountIdentifier": "0123456789", "institution": "ABNGNGLA"}
        answer = await w.aggregator.call_node("/verify_account", payload)
        assert answer.document["data"] == "JOHN A DOE"
        sig = "048e672399993b78d8b02f4b025f6cbc869addc99dece8abfca8594e3cd32985"
        assert w.node.received[0].headers["X-Request-Signature"] == sig
        await w.aggregator.call_node("/tx_status", None)
        sig = "f01bcdb7660ebb0d3b0d660ab212788911181f179fd60ce1ac5e075a768ba4be"
        assert w.node.received[1].headers["X-Request-Signature"] == sig
