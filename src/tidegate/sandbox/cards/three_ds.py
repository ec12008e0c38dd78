"""The page on which a cardholder approves or refuses, and the way back to the shop.

``GET /_sandbox/3ds/{payment intent}`` is a page with two buttons; each posts ``outcome`` there and
is sent to the return URL with the query that Stripe adds.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from aiohttp import web

from tidegate.sandbox.cards.form import parse, text
from tidegate.sandbox.cards.payments import PaymentIntent, Status

if TYPE_CHECKING:
    from tidegate.sandbox.cards.server import SandboxCards

__all__ = ["PREFIX", "answer"]

PREFIX: Final = "/_sandbox/3ds/"
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>3-D Secure (sandbox)</title>
<style>body{{font:16px system-ui;max-width:28rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.2rem;margin-right:.5rem}}</style></head>
<body><h1>Is it you?</h1><p>{text}</p>{form}</body></html>
"""
_FORM: Final = (
    '<form method="post"><button name="outcome" value="approve">Approve</button>'
    '<button name="outcome" value="fail">Fail</button></form>'
)


async def answer(cards: SandboxCards, request: web.BaseRequest) -> web.Response:
    """Show the page, or take its answer."""
    intent = cards.intent(request.path[len(PREFIX) :])
    if intent is None:
        return _page("There is no such payment.", status=404)
    if request.method != "POST":
        if intent.status is not Status.REQUIRES_ACTION:
            return _page(f"This payment is {intent.status}: nothing is asked of you.")
        return _page(f"A shop wants {intent.amount} minor units of {intent.currency}.", _FORM)
    outcome = text(parse((await request.read()).decode(errors="replace")), "outcome")
    if outcome not in ("approve", "fail"):
        return _page("The answer is approve or fail.", status=400)
    try:
        cards.authenticate(intent.id, approve=outcome == "approve")
    except ValueError as refused:
        return _page(f"{refused}.", status=409)
    if intent.return_url is None:
        return _page("Thank you. You may close this page.")
    return web.Response(status=303, headers={"Location": _way_back(intent, intent.return_url)})


def _way_back(intent: PaymentIntent, return_url: str) -> str:
    failed = intent.status is Status.REQUIRES_PAYMENT_METHOD
    added = urlencode(
        {
            "payment_intent": intent.id,
            "payment_intent_client_secret": intent.client_secret,
            "redirect_status": "failed" if failed else "succeeded",
        }
    )
    url = urlsplit(return_url)
    return urlunsplit(url._replace(query=f"{url.query}&{added}" if url.query else added))


def _page(words: str, form: str = "", status: int = 200) -> web.Response:
    content = _PAGE.format(text=html.escape(words), form=form)
    return web.Response(text=content, status=status, content_type="text/html")
