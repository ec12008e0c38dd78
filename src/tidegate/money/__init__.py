"""Money: currencies with their exponent, exact amounts, and the few places that may round."""

from tidegate.money.amount import (
    MINOR_MAX,
    Money,
    major,
    parse_amount,
    parse_balance,
    product_half_even,
    round_half_even,
    to_text,
)
from tidegate.money.currency import Currency, parse_currency

__all__ = [
    "MINOR_MAX",
    "Currency",
    "Money",
    "major",
    "parse_amount",
    "parse_balance",
    "parse_currency",
    "product_half_even",
    "round_half_even",
    "to_text",
]
