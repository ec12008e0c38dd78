"""How commands print: amounts, stretches of time, what others wrote; and read moments."""

from __future__ import annotations

import pytest
import typer

from tidegate.cli.arguments import moment
from tidegate.cli.output import age, amount, clean, duration, show_table

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123_456_789, "NGN", "1,234,567.89"),
        (0, "NGN", "0.00"),
        (-5, "NGN", "-0.05"),
        (-123_456, "NGN", "-1,234.56"),
        (1_200, "XOF-BEN", "1,200"),
        (1_234, "KWD", "1.234"),
        (77, "ZZZ", "77 (minor units)"),
        (None, "NGN", ""),
    ],
)
def test_amounts_are_major_units_with_their_places(
    minor: int | None, currency: str, text: str
) -> None:
    """Exact, in the currency's own places; a currency nobody knows is not guessed at."""
    assert amount(minor, currency) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (40, "40 ms"),
        (2_500, "2.5 s"),
        (5_000, "5 s"),
        (59_999, "59 s"),
        (61_000, "1 min 1 s"),
        (3_600_000, "1 h"),
        (90_000_000, "1 d 1 h"),
        (-2_000, "2 s"),
    ],
)
def test_stretches_of_time(ms: int, text: str) -> None:
    """The two largest units."""
    assert duration(ms) == text


def test_ages_look_both_ways() -> None:
    """Past, future, and never."""
    assert age(NOW - 60_000, NOW) == "1 min ago"
    assert age(NOW + 2_000, NOW) == "in 2 s"
    assert age(None, NOW) == "never"


def test_control_characters_are_spelled_out() -> None:
    """Escapes, carriage returns and direction marks are shown, line feeds stay."""
    assert clean("a\x1b[2Jb\rc\nd\u202ee") == "a\\x1b[2Jb\\rc\nd\\u202ee"


def test_cells_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A bank may write brackets."""
    show_table(("said",), [("[bold]no[/bold] \x1b[31m",)])
    assert "[bold]no[/bold] \\x1b[31m" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", NOW - 90_000),
        ("30m", NOW - 1_800_000),
        ("2h", NOW - 7_200_000),
        ("1d", NOW - 86_400_000),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T01:00:00Z", 3_600_000),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_moments(text: str, ms: int) -> None:
    """Ago, or a date and time, UTC unless it says otherwise."""
    assert moment(text, NOW, "--since") == ms


@pytest.mark.parametrize("text", ["", "tomorrow", "5", "1y", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """Not guessed at."""
    with pytest.raises(typer.BadParameter, match="is no moment"):
        moment(text, NOW, "--since")
