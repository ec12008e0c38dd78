"""Who can be paid, and what they read."""

from __future__ import annotations

import pytest

from tidegate.payouts.recipients import account_number, fault_of_account, narration, same_holder


@pytest.mark.parametrize("number", ["0123456789", "012 345 6789", "0123-456-789"])
def test_ten_digits_are_a_naira_account(number: str) -> None:
    """Blanks and hyphens that people write are taken out."""
    recipient = {"account_identifier": number}
    assert fault_of_account("NGN", recipient) is None
    assert account_number(recipient) == "0123456789"


@pytest.mark.parametrize(
    "number", ["12", "", "01234567890", "O123456789", "٠١٢٣٤٥٦٧٨٩", "0123456789\n0", None]
)
def test_anything_else_is_none(number: str | None) -> None:
    """Digits of other scripts, letters that look like digits, and lines are refused."""
    assert fault_of_account("NGN", {"account_identifier": number})


def test_other_currencies_have_other_accounts() -> None:
    """A phone number is an account where wallets are."""
    assert fault_of_account("KES", {"account_identifier": "254712345678"}) is None
    assert fault_of_account("KES", {"account_identifier": "a'; --"})


@pytest.mark.parametrize(
    ("memo", "read"),
    [
        ("Rent, flat 4/B", "Rent, flat 4/B"),
        ("Ọláwálé ₦5,000 💸", "Olawale 5,000"),
        ("a\r\nb\tc", "a b c"),
        ("<script>", "script"),
        ("", "Payout tg-abc"),
        ("💸💸", "Payout tg-abc"),
    ],
)
def test_the_senders_memo_becomes_plain(memo: str, read: str) -> None:
    """A memo is the sender's text: only letters, digits and little else reach a PSP."""
    assert narration(memo, "tg-abc") == read


def test_a_long_memo_is_cut() -> None:
    """Sixty characters are what a statement prints."""
    assert len(narration("x" * 500, "tg-abc")) == 60


@pytest.mark.parametrize(
    ("ordered", "found", "same"),
    [
        ("John A Doe", "DOE JOHN", True),
        ("Adébáyọ̀ Musa", "ADEBAYO MUSA", True),
        ("OK", "ANYBODY AT ALL", True),
        ("", "ANYBODY AT ALL", True),
        ("John Doe", "JANE ROE", False),
        ("John Doe", "JOHN SMITH", False),
        ("John Michael Doe", "JOHN MICHAEL SMITH", True),
    ],
)
def test_two_spellings_of_a_holder(ordered: str, found: str, same: bool) -> None:
    """Order, accents and case do not matter; another surname of two does (3.10)."""
    assert same_holder(ordered, found) is same
