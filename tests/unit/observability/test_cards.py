"""Card numbers are found, ordinary digits are left alone."""

from __future__ import annotations

import random
import uuid

import pytest

from tidegate.observability.cards import holds_card_number, mask_card_numbers

# Published test numbers of the networks.
CARDS = [
    "4242424242424242",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "36227206271667",
    "3566002020360505",
    "6200000000000005",
    "5060990580000217499",
]


def valid(digits: str) -> bool:
    total = sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(reversed(digits)))
    return total % 10 == 0


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_is_masked_however_it_is_grouped(card: str) -> None:
    """With blanks, with hyphens, in a sentence, in JSON, beside other numbers."""
    assert valid(card), "the example itself must be right"
    grouped = [card[i : i + 4] for i in range(0, len(card), 4)]
    for spelling in (card, " ".join(grouped), "-".join(grouped)):
        assert mask_card_numbers(f"card {spelling}, please") == "card [card], please"
        assert mask_card_numbers(f'{{"number":"{spelling}"}}') == '{"number":"[card]"}'
        assert mask_card_numbers(f"12 {spelling}") == "12 [card]"


@pytest.mark.parametrize(
    "between",
    [
        *("\u00a0", "\u2009", "\u202f", "\u200b", "\u3000", "\u2010", "\u2011", "\u2013"),
        *("\u2212", "\u00ad", "  ", "--", "\u00a0 ", "- "),
    ],
    ids=ascii,
)
def test_a_pasted_card_number_is_masked(between: str) -> None:
    """Pages and word processors put other blanks and hyphens between the groups, or two."""
    for card in CARDS:
        spelling = between.join(card[at : at + 4] for at in range(0, len(card), 4))
        assert mask_card_numbers(f"12 {spelling}, please") == "12 [card], please"


def test_several_are_all_masked() -> None:
    """Each of them, wherever it stands."""
    assert mask_card_numbers(f"{CARDS[0]},{CARDS[2]} and {CARDS[4]}") == "[card],[card] and [card]"


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",  # the check digit is wrong
        "1242424242424244",  # no issuer begins so
        "42424242424",  # too short
        "042424242424242424242",  # inside a longer run
        "000014211121101830000001234567",  # a session id of 30 digits
        "0.4242424242424242",  # a fraction
        "id4242424242424242",  # part of a word
        "3056930009020004",  # right digits, but no card of that network has 16
        "1728201600000",  # milliseconds
        "2347012345678",  # a phone number
        "0123456789",  # an account number
    ],
)
def test_other_digits_are_left_alone(text: str) -> None:
    """Prefix, length and check digit must all fit."""
    assert mask_card_numbers(text) == text


def test_a_hundred_thousand_ordinary_values_pass() -> None:
    """Times, phone and account numbers and ids of many kinds are no cards (B6)."""
    seed = 20261121
    chance = random.Random(seed)  # noqa: S311 -- seeded so that it repeats
    makers = (
        lambda: str(1_700_000_000_000 + chance.randrange(200_000_000_000)),
        lambda: f"234{chance.randrange(7_000_000_000, 9_200_000_000)}",
        lambda: f"{chance.randrange(10**10):010}",
        lambda: f"tg-{chance.getrandbits(110):022x}-01",
        lambda: f"2026-11-{chance.randrange(1, 29):02} {chance.randrange(10**6):06}",
    )
    for number in range(100_000):
        text = makers[number % len(makers)]()
        assert not holds_card_number(text), f"{text} (seed {seed})"


def test_uuids_pass() -> None:
    """A hyphenated id is one word of letters and digits, not groups of a card number."""
    chance = random.Random(7)  # noqa: S311 -- seeded so that it repeats
    for _ in range(5_000):
        text = str(uuid.UUID(int=chance.getrandbits(128)))
        assert mask_card_numbers(text) == text
