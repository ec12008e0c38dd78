"""What the handlers need, built once and hung on the ASGI application."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from tidegate.bootstrap import Application
from tidegate.payouts.answer import TellStatus
from tidegate.payouts.offer import Receive
from tidegate.payouts.prompts import Keep

__all__ = ["Deps", "deps", "make_deps"]


@dataclass(slots=True)
class Deps:
    """The application and the verbs that requests call. ``stopping`` makes ``/ready`` say no."""

    app: Application
    receive: Receive
    tell_status: TellStatus
    keep: Keep
    migrated: bool
    stopping: bool = False


def make_deps(app: Application, *, migrated: bool) -> Deps:
    """Build the verbs over the application's parts."""
    one = (app.database, app.committer, app.clock, app.randomness)
    return Deps(
        app=app,
        receive=Receive(*one, app.rules, app.facts),
        tell_status=TellStatus(*one),
        keep=Keep(app.database, app.committer, app.randomness),
        migrated=migrated,
    )


def deps(request: Request) -> Deps:
    """The dependencies of the application that got ``request``."""
    found: Deps = request.app.state.deps
    return found
