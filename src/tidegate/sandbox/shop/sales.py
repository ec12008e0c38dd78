"""What the shop sells in the demonstration. Pure.

Each sale knows what happens to it and the status it must end in, whatever the processor does on
the way. Amounts are minor units; cards are the processor's shared test tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidegate.sandbox.faults import CardFault, FaultPlan

__all__ = ["BUYERS", "CARDS", "SALES", "Sale", "Step", "arm"]


class Step(StrEnum):
    """What happens to a sale after it was made."""

    APPROVE = "3-D Secure approved"
    REFUSE = "3-D Secure refused"
    CAPTURE_PART = "captured in part"
    CAPTURE = "captured"
    CANCEL = "canceled"
    REFUND_PART = "part refunded"
    REFUND_REST = "rest refunded"
    REFUND_TOO_MUCH = "refund of too much refused"
    DISPUTE_WON = "dispute won"
    DISPUTE_LOST = "dispute lost"


@dataclass(frozen=True, slots=True)
class Sale:
    """One payment of a buyer and what becomes of it; ``end`` is the payment's last status."""

    buyer: str
    card: str
    amount: int
    currency: str
    end: str = "succeeded"
    steps: tuple[Step, ...] = ()
    manual: bool = False
    refunded: int = 0


_PLAIN: Final = "pm_card_visa"
_ASKS: Final = "pm_card_authenticationRequired"
_DECLINES: Final = "pm_card_chargeCustomerFail"
_REFUND_FAILS: Final = "pm_card_refundFail"

BUYERS: Final = ("ada", "ben")
CARDS: Final = (_PLAIN, "pm_card_mastercard", _ASKS, _DECLINES, _REFUND_FAILS)
"""What each buyer stores; the first becomes the default."""

SALES: Final[tuple[Sale, ...]] = (
    Sale("ada", _PLAIN, 2_500, "USD"),
    Sale("ben", "pm_card_mastercard", 1_999, "EUR"),
    Sale("ada", _DECLINES, 4_900, "USD", end="failed"),
    Sale("ben", _ASKS, 7_450, "USD", steps=(Step.APPROVE,)),
    Sale("ada", _ASKS, 6_100, "EUR", end="failed", steps=(Step.REFUSE,)),
    Sale("ben", _PLAIN, 12_000, "USD", steps=(Step.CAPTURE_PART,), manual=True),
    Sale("ada", _PLAIN, 3_300, "EUR", steps=(Step.CAPTURE,), manual=True),
    Sale("ben", _PLAIN, 5_500, "USD", end="canceled", steps=(Step.CANCEL,), manual=True),
    Sale(
        "ada",
        "pm_card_mastercard",
        8_000,
        "USD",
        steps=(Step.REFUND_PART, Step.REFUND_TOO_MUCH, Step.REFUND_REST),
        refunded=8_000,
    ),
    Sale("ben", _PLAIN, 2_200, "EUR", steps=(Step.REFUND_PART,), refunded=1_100),
    # The refund fails days later in the world, some seconds later here: the money is back.
    Sale("ada", _REFUND_FAILS, 1_500, "USD", steps=(Step.REFUND_REST,)),
    Sale("ben", "pm_card_mastercard", 9_900, "USD", steps=(Step.DISPUTE_LOST,)),
    Sale("ada", _PLAIN, 4_400, "USD", steps=(Step.DISPUTE_WON,)),
    Sale("ben", _PLAIN, 1_250, "EUR"),
    Sale("ada", _PLAIN, 50_000, "JPY"),
    Sale("ben", "pm_card_mastercard", 2_750, "USD", steps=(Step.REFUND_REST,), refunded=2_750),
)

_F = CardFault
_ANSWERS: Final[Mapping[str, tuple[tuple[CardFault, int], ...]]] = {
    "create": ((_F.DROP_BEFORE, 1), (_F.DROP_AFTER, 1), (_F.HTML_502, 1)),
    "confirm": ((_F.DROP_AFTER, 1), (_F.ERROR_500_AFTER, 1), (_F.DROP_BEFORE, 1)),
    "capture": ((_F.HTML_502_AFTER, 1),),
    "refund": ((_F.DROP_AFTER, 1), (_F.RATE_LIMITED, 1)),
    "lookup": ((_F.LOOKUP_500, 2),),
}
_WEBHOOKS: Final[Mapping[str, tuple[tuple[CardFault, int], ...]]] = {
    "payment_intent.succeeded": ((_F.WEBHOOK_SWAPPED, 3), (_F.WEBHOOK_DUPLICATE, 6)),
    "charge.succeeded": ((_F.WEBHOOK_LATE, 3), (_F.WEBHOOK_NONE, 2)),
    "charge.updated": ((_F.WEBHOOK_DUPLICATE, 3), (_F.WEBHOOK_UNKNOWN_TYPE, 1)),
    "charge.refunded": ((_F.WEBHOOK_BAD_SIGNATURE, 1),),
}


def arm(plan: FaultPlan[CardFault]) -> None:
    """Set the processor's faults: lost and broken answers on the first calls of each step, late,
    doubled, reordered, missing and forged webhooks."""
    for faults in (_ANSWERS, _WEBHOOKS):
        for key, wanted in faults.items():
            for fault, times in wanted:
                plan.set(key, fault, times=times)
