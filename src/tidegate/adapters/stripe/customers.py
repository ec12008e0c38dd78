"""Customers and their stored cards. Source: ``contracts/payments.md`` (payment methods)."""

from __future__ import annotations

from typing import Any

import stripe

from tidegate.adapters.stripe.calls import Calls, Ended
from tidegate.adapters.stripe.client import Send
from tidegate.adapters.stripe.outcomes import undeclined
from tidegate.adapters.stripe.reading import Unreadable, identity, read_method, text
from tidegate.ports.cards import Declined, Found, Method, NotSent, Refused, Unknown

__all__ = ["CustomerCalls"]


class CustomerCalls(Calls):
    """The part of the port that is about who pays, and with what."""

    async def create_customer(self, user_id: str, key: str) -> Found | Refused | NotSent | Unknown:
        """Create a customer who carries our user id, and nothing personal."""

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.customers.create_async(
                {"metadata": self._metadata(user=user_id)},
                {"idempotency_key": key},
            )

        return undeclined(await self._ask("create_customer", send, _customer_id))

    async def attach(
        self, token: str, customer: str, key: str
    ) -> Found | Declined | Refused | NotSent | Unknown:
        """Attach a token. Refused, it is fetched, for it may be attached there already."""

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.payment_methods.attach_async(
                token, {"customer": customer}, {"idempotency_key": key}
            )

        return await self._or_already("attach", send, token, customer)

    async def detach(self, method: str) -> Found | Refused | NotSent | Unknown:
        """Detach for ever. Refused, it is fetched, for it may be detached already.

        Detaching twice is detaching once, so the key is new each time: a stored one would replay
        an old failure.
        """
        key = self._randomness.new_id("tidegate:detach")

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.payment_methods.detach_async(method, {}, {"idempotency_key": key})

        return undeclined(await self._or_already("detach", send, method, None))

    async def set_up(self, customer: str, key: str) -> Found | Refused | NotSent | Unknown:
        """Open a SetupIntent for a card. ``Found.value`` is its client secret (``str``)."""

        def send(sdk: stripe.StripeClient, plain: bool) -> Any:
            params: stripe.params.SetupIntentCreateParams = {
                "customer": customer,
                "metadata": self._metadata(),
            }
            if not plain:
                params["allowed_payment_method_types"] = ["card"]
            return sdk.v1.setup_intents.create_async(params, {"idempotency_key": key})

        extras = ("allowed_payment_method_types",)
        return undeclined(await self._ask_plainly_if_must("set_up", send, _setup_secret, extras))

    async def _or_already(self, verb: str, send: Send, method: str, customer: str | None) -> Ended:
        """Change whose ``method`` is; a refusal that meets it as wanted already is success."""
        deadline = self._clock.monotonic() + self._timeout_s
        ended = await self._ask(verb, send, read_method)
        # Only a bad request may be one about the method's state.
        if not isinstance(ended, Refused) or ended.exchange.status != 400:
            return ended
        if ended.code in ("idempotency_error", "resource_missing"):
            return ended

        def fetch(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.payment_methods.retrieve_async(method)

        left_s = deadline - self._clock.monotonic()
        now = await self._ask(verb, fetch, read_method, left_s)
        if isinstance(now, Found):
            found: Method = now.value
            return now if found.customer == customer else ended
        # Refused to look at as well: then the first refusal is the one to tell.
        return ended if isinstance(now, Refused | Declined) else now


def _customer_id(tree: object) -> str:
    if not isinstance(tree, dict) or tree.get("object") != "customer":
        raise Unreadable("the answer is no customer")
    return identity(tree)


def _setup_secret(tree: object) -> str:
    secret = None
    if isinstance(tree, dict) and tree.get("object") == "setup_intent":
        secret = text(tree.get("client_secret"), 512)
    if secret is None:
        raise Unreadable("the answer is no setup intent with a secret")
    return secret
