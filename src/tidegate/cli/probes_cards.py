"""What ``doctor`` asks the card processor."""

from __future__ import annotations

from tidegate.bootstrap import Application
from tidegate.cli.checks import Check, Verdict
from tidegate.ports.cards import Found, Refused

__all__ = ["probe_cards"]

_PUBLIC = "/api/webhooks/stripe"


async def probe_cards(app: Application) -> list[Check]:
    """Does the processor take our key, and can it reach us? Reads only."""
    money_in = app.money_in
    if money_in is None:
        detail = "Not configured: no payments are taken."
        return [Check("card processor", Verdict.OK, detail, "To take them, set STRIPE_API_KEY.")]
    name = money_in.cards.name
    ended = await money_in.cards.events_since(app.clock.now_ms(), None)
    if isinstance(ended, Found):
        kind = "live" if app.settings.payments.is_live else "test"
        return [Check(name, Verdict.OK, f"It takes our key ({kind} mode)."), _webhooks(app)]
    exchange = ended.exchange
    if isinstance(ended, Refused) and ended.misconfigured:
        detail = f"It refuses our key: HTTP {exchange.status}."
        return [Check(name, Verdict.FAIL, detail, "Check STRIPE_API_KEY and its permissions.")]
    detail = f"It does not list its events: {exchange.error or f'HTTP {exchange.status}'}."
    next_ = "Check STRIPE_API_BASE and the network between. Events that never come are found late."
    return [Check(name, Verdict.FAIL, detail, next_)]


def _webhooks(app: Application) -> Check:
    public = app.settings.server.public_url
    if public is None:
        return Check(
            "stripe webhooks",
            Verdict.WARN,
            "PUBLIC_URL is not set, so the address to register there is not known.",
            f"Register this node's {_PUBLIC} as a webhook endpoint at the processor.",
        )
    return Check("stripe webhooks", Verdict.OK, f"To be registered there: {public}{_PUBLIC}")
