"""The payout node for operators: orders and their stories, balances, kill switches.

The actions on orders that move money belong to another file, with the verbs they call.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy import Connection, or_, select

from tidegate.api.cursors import Cursor, Limit, Page, cut, decode_cursor
from tidegate.api.deps import deps
from tidegate.api.guard import GuardedRoute
from tidegate.api.identity import IsOperator
from tidegate.api.limits import limit_writes
from tidegate.api.openapi import answer, problems
from tidegate.api.ops_bodies import Act
from tidegate.api.ops_common import (
    ACT,
    LIST,
    ORIGIN,
    SHOW,
    Row,
    act,
    due_of,
    instant,
)
from tidegate.api.ops_models import (
    BALANCES_EXAMPLE,
    ORDER_EXAMPLE,
    ORDER_STORY_EXAMPLE,
    SWITCH_EXAMPLE,
    Balances,
    Order,
    OrderStory,
    Switch,
)
from tidegate.cases.switch import SwitchKind, switch_id
from tidegate.cases.switches import list_switches, switch_off, switch_on
from tidegate.errors import Conflict, Forbidden, InvalidToken, NotAuthenticated, NotFound
from tidegate.ledger.tables import accounts
from tidegate.payouts.facts import read_float
from tidegate.payouts.readings import find_payout
from tidegate.payouts.states import State
from tidegate.payouts.story import Story, read_story, recipient_shown
from tidegate.payouts.tables import payouts, psp_balances
from tidegate.payouts.waiting import waiting
from tidegate.settings.rules import switches_of
from tidegate.work.story import lines_shown
from tidegate.work.waiting import waiting_shown

__all__ = ["OrderName", "router", "shown"]

router = APIRouter(prefix="/api/ops", tags=["operators"], route_class=GuardedRoute)

_ORDERS: Final = "ops_orders"
_WRITES: Final = [Depends(limit_writes)]
_MOMENTS: Final = ("created_at", "expires_at", "paid_at", "ended_at")
_NOTHING: Final = dict.fromkeys(("available", "reserved", "suspense", "missing", "surplus"), 0)
_IS_ON: Final = {**dict.fromkeys(SWITCH_EXAMPLE), "id": "psp:lenco", "off": False}
_accounts = (
    select(accounts.c.path, accounts.c.currency, accounts.c.balance)
    .where(or_(accounts.c.path.like("processor:%"), accounts.c.path.like("payments:%")))
    .order_by(accounts.c.path)
)


OrderName = Annotated[str, Path(max_length=160, examples=[ORDER_EXAMPLE["id"]])]
_SwitchName = Annotated[str, Path(max_length=48, examples=["lenco"])]


@router.get(
    "/orders",
    summary="List payout orders",
    responses={
        **answer(200, "Newest first.", {"data": [ORDER_EXAMPLE], "next_cursor": None}),
        **problems(*LIST),
    },
)
async def orders(
    request: Request,
    identity: IsOperator,
    limit: Limit = 20,
    cursor: Cursor = None,
    state: Annotated[list[State] | None, Query(description="May be repeated.")] = None,
) -> Page[Order]:
    """All of them, or those in some states."""
    after = decode_cursor(_ORDERS, cursor)
    wanted = select(payouts).order_by(payouts.c.id.desc()).limit(limit + 1)
    if state:
        wanted = wanted.where(payouts.c.state.in_(sorted(state)))
    if after is not None:
        wanted = wanted.where(payouts.c.id < after)
    rows = await deps(request).app.database.fetch(
        lambda c: [dict(row) for row in c.execute(wanted).mappings()]
    )
    page, next_cursor = cut(rows, limit, _ORDERS, lambda row: str(row["id"]))
    return Page[Order](data=[shown(row) for row in page], next_cursor=next_cursor)


@router.get(
    "/orders/{name}",
    summary="An order's whole story",
    responses={**answer(200, "By time.", ORDER_STORY_EXAMPLE), **problems(*SHOW)},
)
async def order(request: Request, identity: IsOperator, name: OrderName) -> OrderStory:
    """By the aggregator's id, ours, an attempt's, or a reference."""
    app = deps(request).app

    def read(connection: Connection) -> Story:
        payout = find_payout(connection, name)
        if payout is None:
            raise NotFound("There is no such order.")
        return read_story(connection, payout)

    story = await app.database.read(read)
    state = waiting(
        story.payout,
        story.attempts,
        story.open_cases,
        app.rules,
        app.clock.now_ms(),
        last_answers=story.last_answers,
    )
    return OrderStory.model_validate(
        {
            "order": shown(story.payout),
            "recipient": recipient_shown(story.payout["recipient"]),
            "waiting": waiting_shown(state),
            "open_cases": [case["id"] for case in story.open_cases],
            "story": lines_shown(story.lines),
        }
    )


@router.get(
    "/balances",
    summary="What should be where",
    responses={
        **answer(200, "By the books.", BALANCES_EXAMPLE),
        **problems(NotAuthenticated, InvalidToken, Forbidden),
    },
)
async def balances(request: Request, identity: IsOperator) -> Balances:
    """The float with the PSPs' last readings, and the accounts that payments move through."""

    def read(connection: Connection) -> dict[str, Any]:
        float_ = read_float(connection)
        readings = {
            (row["psp"], row["currency"]): row
            for row in connection.execute(select(psp_balances)).mappings()
        }
        return {
            "float": [
                _float(key, float_.get(key, _NOTHING), readings.get(key))
                for key in sorted({*float_, *readings})
            ],
            "payments": [dict(row) for row in connection.execute(_accounts).mappings()],
        }

    return Balances.model_validate(await deps(request).app.database.read(read))


@router.get(
    "/switches",
    summary="List kill switches",
    responses={
        **answer(200, "All there are.", {"data": [SWITCH_EXAMPLE], "next_cursor": None}),
        **problems(NotAuthenticated, InvalidToken, Forbidden),
    },
)
async def switches(request: Request, identity: IsOperator) -> Page[Switch]:
    """Everything that can be switched off, and what is, by whom and why."""
    is_off = await _off(request)
    ids = sorted({*is_off, *(switch_id(kind, name) for kind, name in _known(request))})
    return Page[Switch](data=[_switch(row_id, is_off) for row_id in ids], next_cursor=None)


@router.post(
    "/switches/{kind}/{name}/off",
    summary="Switch something off",
    dependencies=_WRITES,
    responses={**answer(200, "The switch.", SWITCH_EXAMPLE), **problems(*ACT)},
)
async def off(
    request: Request, identity: IsOperator, kind: SwitchKind, name: _SwitchName, body: Act
) -> Switch:
    """No new orders, transfers or payments there, until it is switched on again. What was sent is
    still looked up and reported; payments that are there go on."""
    if (kind, name) not in _known(request):
        raise NotFound(f"This node has no {kind.value} of this name.")
    row_id = switch_id(kind.value, name)
    if row_id in await _off(request):
        raise Conflict(f"{row_id} is off already.")
    unit = switch_off(kind.value, name, by=identity.user_id, origin=ORIGIN, reason=body.reason)
    await act(request, unit)
    return _switch(row_id, await _off(request))


@router.post(
    "/switches/{kind}/{name}/on",
    summary="Switch something on again",
    dependencies=_WRITES,
    responses={
        **answer(200, "The switch.", _IS_ON),
        **problems(*ACT),
    },
)
async def on(
    request: Request, identity: IsOperator, kind: SwitchKind, name: _SwitchName, body: Act
) -> Switch:
    """Also one that this node has no setting for any more."""
    row_id = switch_id(kind.value, name)
    if row_id not in await _off(request):
        raise Conflict(f"{row_id} is not switched off.")
    unit = switch_on(kind.value, name, by=identity.user_id, origin=ORIGIN, reason=body.reason)
    await act(request, unit)
    return _switch(row_id, await _off(request))


async def _off(request: Request) -> dict[str, Row]:
    rows = await deps(request).app.database.fetch(list_switches)
    return {row["id"]: row for row in rows}


def _known(request: Request) -> list[tuple[SwitchKind, str]]:
    return switches_of(deps(request).app.settings)


def _switch(row_id: str, is_off: dict[str, Row]) -> Switch:
    row = is_off.get(row_id)
    return Switch(
        id=row_id,
        off=row is not None,
        reason=row["reason"] if row else None,
        switched_by=row["switched_by"] if row else None,
        switched_at=instant(row["switched_at"]) if row else None,
    )


def _float(key: tuple[str, str], parts: dict[str, int], reading: Any) -> dict[str, Any]:
    return {
        "psp": key[0],
        "currency": key[1],
        **parts,
        "total": parts["available"] + parts["reserved"] + parts["suspense"],
        "reading": reading["reading"] if reading is not None else None,
        "read_at": instant(reading["read_at"]) if reading is not None else None,
    }


def shown(row: Row) -> Order:
    values = {name: row[name] for name in Order.model_fields if name in row}
    moments = {name: instant(row[name]) for name in _MOMENTS}
    return Order.model_validate({**values, **moments, "due": due_of(row)})
