"""The service and a played card processor in one process that reaches nothing but this machine.

Run as ``python -m tests.acceptance.schema.program``; the settings come from the environment.
``CARDS_PORT`` is the processor's port; ``ROOMY`` lifts the limits on writes and renewals, which
are no settings and would answer most of a long run with 429.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import os
import socket
from typing import Any

import uvicorn

from tidegate import bootstrap
from tidegate.cli.serve import _migrate, _server_options, configure_logs, serve_app
from tidegate.clock import SystemClock
from tidegate.sandbox.cards import SandboxCards
from tidegate.settings import Settings, load
from tidegate.settings.rules import user_rules_of
from tidegate.users.rules import UserRules

_MANY = 10_000_000


def stay_here() -> None:
    """Receivers of webhooks have made-up addresses: no name is looked up, nobody else is called."""
    lookup, connect = socket.getaddrinfo, socket.socket.connect

    def look_up(host: Any, *rest: Any, **named: Any) -> Any:
        if not _is_here(host):
            raise socket.gaierror(socket.EAI_NONAME, "names are not looked up here")
        return lookup(host, *rest, **named)

    def connect_here(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            raise OSError("nobody is called from here")
        connect(sock, address)

    socket.getaddrinfo = look_up
    setattr(socket.socket, "connect", connect_here)  # noqa: B010 -- a method is no variable to mypy


def _is_here(host: Any) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def make_room() -> None:
    """Count writes and renewals against a limit that no run reaches."""

    def roomy(settings: Settings) -> UserRules:
        return dataclasses.replace(
            user_rules_of(settings), writes_per_minute=_MANY, renewals_per_minute=_MANY
        )

    setattr(bootstrap, "user_rules_of", roomy)  # noqa: B010 -- imported there, not exported


async def main() -> None:
    """Serve until told to stop."""
    settings = load(env_file=None)
    configure_logs(settings)
    payments = settings.payments
    assert payments.stripe_api_key is not None
    assert payments.stripe_webhook_secret is not None
    cards = SandboxCards(
        SystemClock(),
        api_key=payments.stripe_api_key.get_secret_value(),
        webhook_secret=payments.stripe_webhook_secret.get_secret_value(),
        webhook_url=f"http://127.0.0.1:{settings.server.port}/api/webhooks/stripe",
        settle_s=0.2,
    )
    await cards.start("127.0.0.1", int(os.environ["CARDS_PORT"]))
    await _migrate(settings, "head")
    app = serve_app(settings, works=True)
    await uvicorn.Server(uvicorn.Config(app, **_server_options(settings))).serve()
    await cards.stop()


if __name__ == "__main__":
    stay_here()
    if os.environ.get("ROOMY"):
        make_room()
    # On the plain loop, which makes its connections with what is guarded above; uvloop does not.
    asyncio.run(main())
