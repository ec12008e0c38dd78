"""The entries of a payment's life. Pure; amounts are integer minor units.

What the processor holds for us is one account a currency. Its fees come with the movements on its
balance (processor.md 2), which may be kept in another currency than the payment.
"""

from __future__ import annotations

from tidegate.ledger.entry import Entry, transfer
from tidegate.ports.cards import Movement

__all__ = [
    "captured",
    "dispute_lost",
    "dispute_moved",
    "dispute_regained",
    "is_silent",
    "moved",
    "refund_late",
    "refund_released",
    "refund_reserved",
    "refund_returned",
    "refund_succeeded",
    "user_account",
]


def user_account(user_id: str, currency: str) -> str:
    """What a user paid, less what went back: its balance is the sum of the user's payments."""
    return f"payments:user:{user_id}:{currency}"


def _balance(processor: str, currency: str) -> str:
    return f"processor:{processor}:balance:{currency}"


def _refunding(currency: str) -> str:
    return f"payments:refunding:{currency}"


def _disputed(currency: str) -> str:
    return f"payments:disputed:{currency}"


def captured(
    processor: str, user_id: str, payment_id: str, currency: str, amount: int, total: int
) -> Entry:
    """``amount`` was taken; ``total`` is what is captured in all now (it tells entries apart)."""
    return transfer(
        f"{payment_id}:captured:{total}",
        "payment.captured",
        payment_id,
        (_balance(processor, currency), user_account(user_id, currency), amount),
    )


def moved(processor: str, subject: str, currency: str, amount: int, movement: Movement) -> Entry:
    """What a movement on the processor's balance tells beyond the amount we booked: its fee, and
    the change into the balance's own currency.

    ``amount`` is signed, in the payment's ``currency``: what the movement stands for in our books.
    The fee comes off the balance; a returned fee is negative.
    """
    theirs = movement.amount.currency.code
    fees, balance = f"processor:{processor}:fees:{theirs}", _balance(processor, theirs)
    moves = [_signed(fees, balance, movement.fee.minor)]
    if theirs != currency:
        moves.append(
            _signed(
                f"processor:{processor}:conversion:{currency}",
                _balance(processor, currency),
                amount,
            )
        )
        moves.append(
            _signed(balance, f"processor:{processor}:conversion:{theirs}", movement.amount.minor)
        )
    return transfer(f"{processor}:{movement.reference}", "processor.moved", subject, *moves)


def is_silent(currency: str, movement: Movement) -> bool:
    """Nothing to book: no fee, and no other currency."""
    return movement.fee.minor == 0 and movement.amount.currency.code == currency


def _signed(debited: str, credited: str, amount: int) -> tuple[str, str, int]:
    return (debited, credited, amount) if amount >= 0 else (credited, debited, -amount)


def refund_reserved(user_id: str, refund_id: str, currency: str, amount: int) -> Entry:
    """Set ``amount`` aside before the processor is asked."""
    return transfer(
        f"{refund_id}:reserved",
        "refund.reserved",
        refund_id,
        (user_account(user_id, currency), _refunding(currency), amount),
    )


def refund_succeeded(processor: str, refund_id: str, currency: str, amount: int) -> Entry:
    """It left the processor's balance."""
    return transfer(
        f"{refund_id}:succeeded",
        "refund.succeeded",
        refund_id,
        (_refunding(currency), _balance(processor, currency), amount),
    )


def refund_released(user_id: str, refund_id: str, currency: str, amount: int) -> Entry:
    """It failed before it left: what was set aside goes back."""
    return transfer(
        f"{refund_id}:released",
        "refund.released",
        refund_id,
        (_refunding(currency), user_account(user_id, currency), amount),
    )


def refund_returned(
    processor: str, user_id: str, refund_id: str, currency: str, amount: int
) -> Entry:
    """It failed after it had left: the money is back on the balance (processor.md 8)."""
    return transfer(
        f"{refund_id}:returned",
        "refund.returned",
        refund_id,
        (_balance(processor, currency), user_account(user_id, currency), amount),
    )


def refund_late(processor: str, user_id: str, refund_id: str, currency: str, amount: int) -> Entry:
    """It left after all, when what was set aside for it had gone back already."""
    return transfer(
        f"{refund_id}:late",
        "refund.late",
        refund_id,
        (user_account(user_id, currency), _balance(processor, currency), amount),
    )


def dispute_moved(
    processor: str, dispute_id: str, currency: str, amount: int, movement: Movement
) -> Entry:
    """A dispute took the money, or gave it back: a fact, so no floor stands in its way.

    ``amount`` is signed in the payment's currency: negative when it was taken.
    """
    return transfer(
        f"{dispute_id}:{movement.reference}",
        "dispute.moved",
        dispute_id,
        _signed(_balance(processor, currency), _disputed(currency), amount),
    )


def dispute_regained(dispute_id: str, user_id: str, currency: str, amount: int) -> Entry:
    """It was lost, and then won after all: the user's payments are whole again."""
    return transfer(
        f"{dispute_id}:regained",
        "dispute.regained",
        dispute_id,
        (_disputed(currency), user_account(user_id, currency), amount),
    )


def dispute_lost(dispute_id: str, user_id: str, currency: str, amount: int) -> Entry:
    """The cardholder keeps it: the user's payments are less by it."""
    return transfer(
        f"{dispute_id}:lost",
        "dispute.lost",
        dispute_id,
        (user_account(user_id, currency), _disputed(currency), amount),
    )
