"""Take up: an order that the restored copy does not know, and that was paid."""

from __future__ import annotations

from tidegate.bootstrap import Application
from tidegate.db.committer import Unit
from tidegate.db.rows import Insert, Next
from tidegate.errors import AlreadyExists, InvalidAmount
from tidegate.money.amount import parse_amount, product_half_even
from tidegate.money.currency import parse_currency
from tidegate.payouts.adopt import ADOPT
from tidegate.payouts.references import order_reference, transaction_id
from tidegate.payouts.states import State
from tidegate.payouts.store import payout_by_order
from tidegate.payouts.tables import payout_events, payouts
from tidegate.ports.aggregator import OrderView
from tidegate.ports.bank import Outcome

__all__ = ["take_up"]


async def take_up(
    app: Application, order_id: str, view: OrderView | None, outcome: Outcome, listed_in: str | None
) -> str:
    """Make a payout for it, as if its offer had just come; its id.

    ``listed_in`` is the currency in whose list the aggregator has it, ``view`` what it says there.
    """
    now_ms = app.clock.now_ms()
    reference = order_reference(app.rules.environment, app.rules.node_id, order_id)
    payout_id = app.randomness.new_id("po")
    currency = listed_in or (outcome.amount.currency.code if outcome.amount else "")
    amount = _amount_of(view, currency)
    if amount is None and outcome.amount is not None:
        amount = outcome.amount.minor
    account = (view.account_identifier if view else "") or outcome.account_number or ""
    row = {
        "id": payout_id,
        "order_id": order_id,
        "dialect": app.settings.aggregator.dialect,
        "state": State.PENDING.value,
        "round": 1,
        "currency": currency,
        "amount_text": "" if amount is None else str(amount),
        "amount": amount,
        "institution": (view.institution if view else "")[:64],
        "exclude_psps": [],
        "recipient": {
            "institution": view.institution if view else "",
            "account_identifier": account,
            "account_name": view.account_name if view else "",
            "memo": (view.memo if view else "") or "",
            "metadata": {},
        },
        "offered_at": now_ms,
        "expires_at": now_ms,
        "reference": reference,
        "tx_id": transaction_id(reference, 1),
        "created_at": now_ms,
    }
    event = {
        "id": app.randomness.new_id("pev"),
        "payout_id": payout_id,
        "at": now_ms,
        "round": 1,
        "event": "found_after_restore",
        "state": State.PENDING.value,
        "detail": {},
    }
    unit = Unit([Insert(payouts, row, next=Next(ADOPT)), Insert(payout_events, event)])
    try:
        await app.committer.commit(unit)
    except AlreadyExists:  # its offer has just arrived
        known = await app.database.read(lambda c: payout_by_order(c, order_id))
        assert known is not None
        return str(known["id"])
    return payout_id


def _amount_of(view: OrderView | None, currency: str) -> int | None:
    """Minor units of the order as the aggregator shows it (aggregator.md 1)."""
    if view is None or view.token_amount is None or view.rate is None:
        return None
    try:
        amount = product_half_even(view.token_amount, view.rate, 0)
        return parse_amount(amount, parse_currency(currency)).minor
    except InvalidAmount:
        return None
