"""E-mail addresses: which can be one, and which are the same."""

from __future__ import annotations

import pytest

from tidegate.errors import ValidationFailed
from tidegate.users.emails import check_email, email_key, email_parts


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com",
        "ada.lovelace+pay@mail.example.co.uk",
        "o'brien@example.ie",
        "a@b.io",
        "\u0434\u0430@\u043f\u043e\u0447\u0442\u0430.\u0440\u0444",
        "x" * 64 + "@example.com",
    ],
)
def test_addresses_of_people_are_taken(text: str) -> None:
    """Plus signs, apostrophes and other scripts are in use."""
    assert check_email(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.com",
        "ada@localhost",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "a b@example.com",
        " ada@example.com",
        "ada@example.com\n",
        "ada@exa mple.com",
        "ada..l@example.com",
        ".ada@example.com",
        "ada@example..com",
        "ada@-example.com",
        "ada@example.com.",
        "ada@@example.com",
        '"ada"@example.com',
        "ada@example.com\x00",
        "ada@example.com,eve@example.com",
        "<ada@example.com>",
        "x" * 65 + "@example.com",
        "ada@" + "x" * 64 + ".com",
        "ada@" + ("x" * 60 + ".") * 4 + "example",
        # Grows past the limit when it is case-folded.
        "\u00df" * 30 + "@" + ("x" * 60 + ".") * 3 + "\u00df" * 20 + ".com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """With the field's name, and without repeating what was sent."""
    with pytest.raises(ValidationFailed) as refusal:
        check_email(text)
    (fault,) = refusal.value.errors
    assert (fault["field"], fault["code"]) == ("email", "invalid_email")
    assert fault["message"] == "This is no e-mail address: write one such as ada@example.com."


def test_case_and_composition_make_no_difference() -> None:
    """Nor do they make a second account."""
    assert email_key("ADA@Example.COM") == email_key("ada@example.com")
    assert email_key("caf\u00e9@example.com") == email_key("CAFE\u0301@example.com")
    assert email_key("ada@example.com") != email_key("ada@example.org")


def test_the_words_of_an_address() -> None:
    """Whole, by side, and by word; what is too short to mean anything is left out."""
    words = email_parts("ada.lovelace@mail.example.io")
    assert {"ada", "lovelace", "ada.lovelace", "example", "mail.example.io"} <= set(words)
    assert "io" not in words
