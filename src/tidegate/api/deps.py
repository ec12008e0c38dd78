"""What the handlers need, built once and hung on the ASGI application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from tidegate.bootstrap import Application
from tidegate.db.quarantine import is_quarantined
from tidegate.errors import PaymentsOff, Quarantined
from tidegate.payments.deliver_again import Again
from tidegate.payments.endpoints import Endpoints
from tidegate.payments.make import MoneyIn
from tidegate.payments.stream import Stream
from tidegate.payouts.answer import TellStatus
from tidegate.payouts.offer import Receive
from tidegate.payouts.prompts import Keep
from tidegate.users.make import Users

__all__ = ["Deps", "MovesMoney", "deps", "make_deps", "money_in"]


@dataclass(slots=True)
class Deps:
    """The application and the verbs that requests call. ``stopping`` makes ``/ready`` say no;
    ``shares_port``: other processes answer at the same port."""

    app: Application
    receive: Receive
    tell_status: TellStatus
    keep: Keep
    stopping: bool = False
    shares_port: bool = False

    @property
    def users(self) -> Users:
        return self.app.users

    @property
    def endpoints(self) -> Endpoints:
        return self.app.telling.endpoints

    @property
    def deliveries(self) -> Again:
        return self.app.telling.deliveries

    @property
    def stream(self) -> Stream:
        return self.app.telling.stream


def make_deps(app: Application, *, shares_port: bool = False) -> Deps:
    """Build the verbs over the application's parts."""
    one = (app.database, app.committer, app.clock, app.randomness)
    return Deps(
        app=app,
        receive=Receive(*one, app.rules, app.facts),
        tell_status=TellStatus(*one),
        keep=Keep(app.database, app.committer, app.randomness),
        shares_port=shares_port,
    )


def deps(request: Request) -> Deps:
    """The dependencies of the application that got ``request``."""
    found: Deps = request.app.state.deps
    return found


def money_in(request: Request) -> MoneyIn:
    """The verbs of payments. Raises ``PaymentsOff`` when no processor is configured."""
    found = deps(request).app.money_in
    if found is None:
        raise PaymentsOff()
    return found


async def _may_move_money(request: Request) -> None:
    if await deps(request).app.database.fetch(is_quarantined):
        raise Quarantined()


MovesMoney = Annotated[None, Depends(_may_move_money)]
"""Of a request that moves money. Raises ``Quarantined`` while the node is in quarantine."""
