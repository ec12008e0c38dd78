"""What a client must do before a payment goes on, as it is shown to the client.

Two shapes, both with what a browser needs to go on through Stripe.js::

    {"type": "redirect_to_url", "redirect_to_url": {"url": .., "return_url": ..|None},
     "client_secret": .., "publishable_key": ..|None}
    {"type": "use_stripe_sdk", "client_secret": .., "publishable_key": ..|None}

The second stands for every other type of Stripe's: ``stripe.handleNextAction({clientSecret})``
knows what to do from the secret alone, and Stripe's own blob is no stable interface. Source:
``contracts/processor.md`` 7, https://docs.stripe.com/api/payment_intents/object (next_action).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["next_action_for"]


def next_action_for(
    action: object, client_secret: str | None, publishable_key: str | None
) -> Mapping[str, Any]:
    """Turn ``next_action`` of an intent that requires action into the client's shape."""
    keys = {"client_secret": client_secret, "publishable_key": publishable_key}
    redirect = action.get("redirect_to_url") if isinstance(action, dict) else None
    url = redirect.get("url") if isinstance(redirect, dict) else None
    # Nothing but the web: the client will open it.
    if not isinstance(redirect, dict) or not isinstance(url, str) or not _is_web(url):
        return {"type": "use_stripe_sdk", **keys}
    back = redirect.get("return_url")
    to = {"url": url, "return_url": back if isinstance(back, str) else None}
    return {"type": "redirect_to_url", "redirect_to_url": to, **keys}


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))
