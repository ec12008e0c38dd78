"""Payment objects, refunds and disputes. Source: ``contracts/processor.md`` 1 to 8.

A payment object takes the methods of the dashboard that do not redirect
(``automatic_payment_methods`` with ``allow_redirects=never``). With redirects allowed, Stripe
demands a ``return_url`` at every confirmation, of a stored card too; so it may be given, for the
3-D Secure of a browser that is sent to its bank, and need not be. ``payment_method_types`` is no
way out: it was removed in this version of the API
(https://docs.stripe.com/changelog/endive/2026-09-30).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

import stripe

from tidegate.adapters.stripe.amounts import to_stripe
from tidegate.adapters.stripe.calls import Calls, Ended
from tidegate.adapters.stripe.listing import PAGE_SIZE
from tidegate.adapters.stripe.outcomes import question, undeclined
from tidegate.adapters.stripe.reading import Unreadable, read_dispute, read_refund
from tidegate.errors import InvalidAmount, UnsupportedCurrency
from tidegate.money.amount import Money
from tidegate.ports.cards import (
    Declined,
    Dispute,
    Found,
    Intent,
    IntentOrder,
    IntentStatus,
    Missing,
    NotSent,
    Refund,
    Refused,
    Unknown,
)

__all__ = ["PaymentCalls"]

_BOOKED: Final = "latest_charge.balance_transaction"

_T = TypeVar("_T", Intent, Refund, Dispute)
_Reason = Literal["duplicate", "fraudulent", "requested_by_customer"]
_REASONS: Final[dict[str, _Reason]] = {
    "duplicate": "duplicate",
    "fraudulent": "fraudulent",
    "requested_by_customer": "requested_by_customer",
}


class PaymentCalls(Calls):
    """The part of the port that is about payments.

    An amount that does not divide into Stripe's units is ``Refused`` (``invalid_amount``) without
    a call, its exchange saying so.
    """

    async def create(self, order: IntentOrder, key: str) -> Found | Refused | NotSent | Unknown:
        """Create it unconfirmed. Its movement is never there yet."""
        units = self._units("create", "/v1/payment_intents", order.amount)
        if isinstance(units, Refused):
            return units

        def send(sdk: stripe.StripeClient, plain: bool) -> Any:
            params: stripe.params.PaymentIntentCreateParams = {
                "amount": units,
                "currency": order.amount.currency.code.lower(),
                "customer": order.customer,
                # Said, because the default leaves the movement out of the answer (2).
                "capture_method": "manual" if order.manual_capture else "automatic",
                "confirm": False,
                "metadata": self._metadata(payment=order.payment_id),
            }
            if order.method is not None:
                params["payment_method"] = order.method
            if not plain:
                params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
                if order.description:
                    params["description"] = order.description
            return sdk.v1.payment_intents.create_async(params, {"idempotency_key": key})

        extras = ("automatic_payment_methods", "description")
        return undeclined(
            await self._ask_plainly_if_must("create", send, self._read_intent, extras)
        )

    async def confirm(
        self, intent: str, key: str, return_url: str | None
    ) -> Found | Declined | Refused | NotSent | Unknown:
        """Charge or authorise; where a person must act, the intent's ``next_action`` says how."""

        def send(sdk: stripe.StripeClient, plain: bool) -> Any:
            params: stripe.params.PaymentIntentConfirmParams = {"expand": [_BOOKED]}
            if return_url is not None and not plain:
                params["return_url"] = return_url
            return sdk.v1.payment_intents.confirm_async(intent, params, {"idempotency_key": key})

        read = self._this_intent(intent)
        extras = ("return_url",) if return_url is not None else ()
        return await self._ask_plainly_if_must("confirm", send, read, extras)

    async def capture(
        self, intent: str, amount: Money, key: str
    ) -> Found | Declined | Refused | NotSent | Unknown:
        """Take ``amount`` of what was authorised; the rest is released."""
        units = self._units("capture", f"/v1/payment_intents/{intent}/capture", amount)
        if isinstance(units, Refused):
            return units

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.payment_intents.capture_async(
                intent,
                {"amount_to_capture": units, "expand": [_BOOKED]},
                {"idempotency_key": key},
            )

        return await self._ask("capture", send, self._this_intent(intent))

    async def cancel(self, intent: str, key: str) -> Found | Refused | NotSent | Unknown:
        """Cancel. The refusal of one that is canceled comes with it, and is success."""

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.payment_intents.cancel_async(intent, {}, {"idempotency_key": key})

        ended = undeclined(await self._ask("cancel", send, self._this_intent(intent)))
        if isinstance(ended, Refused) and ended.intent is not None:
            is_it = ended.intent.reference == intent
            if is_it and ended.intent.status is IntentStatus.CANCELED:
                return Found(ended.intent, ended.exchange)
        return ended

    async def fetch(self, intent: str) -> Found | Missing | Refused | NotSent | Unknown:
        """Fetch it with its charge and movement."""

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.payment_intents.retrieve_async(intent, {"expand": [_BOOKED]})

        return question(await self._ask("fetch", send, self._this_intent(intent)))

    async def find(
        self, customer: str, payment_id: str
    ) -> Found | Missing | Refused | NotSent | Unknown:
        """List the customer's payment objects, to the end or to ours.

        Nothing is expanded, so the movement is not there: a hundred charges would be too much.
        """

        def ask(sdk: stripe.StripeClient, after: str | None) -> Any:
            params: stripe.params.PaymentIntentListParams = {
                "customer": customer,
                "limit": PAGE_SIZE,
            }
            if after is not None:
                params["starting_after"] = after
            return sdk.v1.payment_intents.list_async(params)

        return await self._find("find", ask, "tidegate_payment", payment_id, self._read_intent)

    async def refund(
        self, intent: str, amount: Money, refund_id: str, reason: str | None, key: str
    ) -> Found | Refused | NotSent | Unknown:
        """Give back. A reason in words of our own stays with us: Stripe takes three of its own."""
        units = self._units("refund", "/v1/refunds", amount)
        if isinstance(units, Refused):
            return units
        known = _REASONS.get(reason or "")

        def send(sdk: stripe.StripeClient, plain: bool) -> Any:
            params: stripe.params.RefundCreateParams = {
                "payment_intent": intent,
                "amount": units,
                "metadata": self._metadata(refund=refund_id),
                "expand": ["balance_transaction"],
            }
            if known is not None and not plain:
                params["reason"] = known
            return sdk.v1.refunds.create_async(params, {"idempotency_key": key})

        extras = ("reason",) if known is not None else ()
        return undeclined(await self._ask_plainly_if_must("refund", send, read_refund, extras))

    async def find_refund(
        self, intent: str, refund_id: str, reference: str | None
    ) -> Found | Missing | Refused | NotSent | Unknown:
        """Fetch it by ``reference``, else list the payment's refunds, to the end or to ours."""
        if reference is not None:
            return question(await self._fetch_refund(reference))

        def ask(sdk: stripe.StripeClient, after: str | None) -> Any:
            params: stripe.params.RefundListParams = {
                "payment_intent": intent,
                "limit": PAGE_SIZE,
                "expand": ["data.balance_transaction"],
            }
            if after is not None:
                params["starting_after"] = after
            return sdk.v1.refunds.list_async(params)

        return await self._find("find_refund", ask, "tidegate_refund", refund_id, read_refund)

    async def fetch_dispute(self, reference: str) -> Found | Missing | Refused | NotSent | Unknown:
        """Fetch it; Stripe sends its movements along."""

        def send(sdk: stripe.StripeClient) -> Any:
            return sdk.v1.disputes.retrieve_async(reference)

        def read(tree: object) -> Dispute:
            return _this(reference, read_dispute(tree))

        return question(await self._ask("fetch_dispute", send, read))

    async def _fetch_refund(self, reference: str) -> Ended:
        def send(sdk: stripe.StripeClient, plain: bool) -> Any:
            expand = ["balance_transaction"]
            if not plain:
                expand.append("failure_balance_transaction")
            return sdk.v1.refunds.retrieve_async(reference, {"expand": expand})

        def read(tree: object) -> Refund:
            return _this(reference, read_refund(tree))

        extras = ("failure_balance_transaction",)
        return await self._ask_plainly_if_must("find_refund", send, read, extras)

    def _this_intent(self, reference: str) -> Callable[[Any], Intent]:
        return lambda tree: _this(reference, self._read_intent(tree))

    def _units(self, verb: str, path: str, amount: Money) -> int | Refused:
        try:
            return to_stripe(amount)
        except (InvalidAmount, UnsupportedCurrency) as error:
            why = str(error)
            return Refused("invalid_amount", why, self._connection.unsent(verb, path, why))


def _this(reference: str, found: _T) -> _T:
    """Another object than was asked about says nothing about the one that was."""
    if found.reference != reference:
        raise Unreadable("the answer is about another object")
    return found
