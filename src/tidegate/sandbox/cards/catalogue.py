"""Test cards: their numbers, the names Stripe gives them, and what each of them does.

``pm_card_...`` are shared payment methods, ``tok_...`` shared tokens; every use makes a payment
method of its own. Source: Stripe's page on testing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["BY_NUMBER", "BY_TOKEN", "DECLINES", "Behaviour", "Decline", "TestCard"]


class Behaviour(StrEnum):
    """What a card does once it is charged or refunded."""

    PAYS = "pays"
    DECLINES = "declines"
    # The card can be attached to a customer, and every charge of it is declined.
    DECLINES_LATER = "declines_later"
    ASKS = "asks"
    IS_DISPUTED = "is_disputed"
    REFUNDS_LATE = "refunds_late"
    REFUND_FAILS = "refund_fails"


@dataclass(frozen=True, slots=True)
class Decline:
    """The words of a decline; ``advice`` is what the network says about another try."""

    code: str
    decline_code: str
    message: str
    advice: str | None = "try_again_later"
    param: str | None = None


@dataclass(frozen=True, slots=True)
class TestCard:
    """A card that exists in the sandbox only."""

    __test__ = False  # pytest takes every class with such a name for a test

    number: str
    brand: str = "visa"
    behaviour: Behaviour = Behaviour.PAYS
    decline: str = "generic_decline"
    funding: str = "credit"

    @property
    def last4(self) -> str:
        return self.number[-4:]


DECLINES: Final = {
    decline.decline_code: decline
    for decline in (
        Decline("card_declined", "generic_decline", "Your card was declined."),
        Decline("card_declined", "insufficient_funds", "Your card has insufficient funds."),
        Decline("card_declined", "lost_card", "Your card was declined.", "do_not_try_again"),
        Decline("card_declined", "stolen_card", "Your card was declined.", "do_not_try_again"),
        Decline("card_declined", "fraudulent", "Your card was declined.", None),
        Decline(
            "expired_card",
            "expired_card",
            "Your card has expired.",
            "confirm_card_data",
            "exp_month",
        ),
        Decline(
            "incorrect_cvc",
            "incorrect_cvc",
            "Your card's security code is incorrect.",
            "confirm_card_data",
            "cvc",
        ),
        Decline("processing_error", "processing_error", "The card could not be processed."),
        Decline(
            "authentication_required",
            "authentication_required",
            "Your card was declined. This transaction requires authentication.",
        ),
    )
}

_CARDS: Final = {
    "visa": TestCard("4242424242424242"),
    "visa_debit": TestCard("4000056655665556", funding="debit"),
    "mastercard": TestCard("5555555555554444", "mastercard"),
    "amex": TestCard("378282246310005", "amex"),
    "discover": TestCard("6011111111111117", "discover"),
    "visa_chargeDeclined": TestCard("4000000000000002", behaviour=Behaviour.DECLINES),
    "visa_chargeDeclinedInsufficientFunds": TestCard(
        "4000000000009995", behaviour=Behaviour.DECLINES, decline="insufficient_funds"
    ),
    "visa_chargeDeclinedLostCard": TestCard(
        "4000000000009987", behaviour=Behaviour.DECLINES, decline="lost_card"
    ),
    "visa_chargeDeclinedStolenCard": TestCard(
        "4000000000009979", behaviour=Behaviour.DECLINES, decline="stolen_card"
    ),
    "chargeDeclinedExpiredCard": TestCard(
        "4000000000000069", behaviour=Behaviour.DECLINES, decline="expired_card"
    ),
    "chargeDeclinedIncorrectCvc": TestCard(
        "4000000000000127", behaviour=Behaviour.DECLINES, decline="incorrect_cvc"
    ),
    "chargeDeclinedProcessingError": TestCard(
        "4000000000000119", behaviour=Behaviour.DECLINES, decline="processing_error"
    ),
    "chargeDeclinedFraudulent": TestCard(
        "4100000000000019", behaviour=Behaviour.DECLINES, decline="fraudulent"
    ),
    "chargeCustomerFail": TestCard("4000000000000341", behaviour=Behaviour.DECLINES_LATER),
    "authenticationRequired": TestCard("4000002760003184", behaviour=Behaviour.ASKS),
    "authenticationRequiredOnSetup": TestCard("4000002500003155", behaviour=Behaviour.ASKS),
    "threeDSecure2Required": TestCard("4000000000003220", behaviour=Behaviour.ASKS),
    "createDispute": TestCard("4000000000000259", behaviour=Behaviour.IS_DISPUTED),
    "pendingRefund": TestCard("4000000000007726", behaviour=Behaviour.REFUNDS_LATE),
    "refundFail": TestCard("4000000000005126", behaviour=Behaviour.REFUND_FAILS),
}
# The generic decline has a second name among the shared tokens.
_ALSO: Final = {"chargeDeclined": _CARDS["visa_chargeDeclined"]}

BY_NUMBER: Final = {card.number: card for card in _CARDS.values()}
BY_TOKEN: Final = {
    prefix + name: card
    for name, card in {**_CARDS, **_ALSO}.items()
    for prefix in ("pm_card_", "tok_")
}
