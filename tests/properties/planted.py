"""A target with a fault in it, to see that the fuzzer finds one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.properties.targets import Target

__all__ = ["TARGETS"]


def five_letters(data: bytes) -> None:
    """Raises for what begins with one word, which chance alone finds once in 10^12 tries."""
    for place, letter in enumerate(b"fault"):
        # One comparison after the other, as parsers do: each that holds is news to the fuzzer.
        if place == len(data) or data[place] != letter:
            return
    raise AssertionError("found")


TARGETS: Final[Mapping[str, Target]] = {"five_letters": Target(five_letters, (b"an input",))}
