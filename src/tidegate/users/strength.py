"""Which passwords are taken: long enough, not common, not the e-mail address. Pure.

NIST SP 800-63B asks for a minimum length, for at least 64 characters to be possible, for a list
of common passwords and for no rules of composition; OWASP for an estimate of strength. Eight
characters are the least; what is short must be the less guessable.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

from zxcvbn import matching, scoring, time_estimates  # type: ignore[import-untyped]  # no stubs

from tidegate.errors import WeakPassword

__all__ = ["PASSWORD_LENGTH_MAX", "PASSWORD_LENGTH_MIN", "SCORE_MIN", "check_password", "normal"]

PASSWORD_LENGTH_MIN: Final = 8
PASSWORD_LENGTH_MAX: Final = 128
# Of 0 to 4. Under 2 a password falls to a million guesses, which an unthrottled list makes.
SCORE_MIN: Final = 2
# The estimate's cost grows with the third power, and it keeps the interpreter to itself: 72 hostile
# characters take two seconds, 24 a seventh of one. What follows a strong beginning weakens nothing.
_ESTIMATED_MAX: Final = 24

_COMMON: Final = matching.RANKED_DICTIONARIES["passwords"]


def normal(password: str) -> str:
    """One spelling for what looks and is typed alike: NFC, as RFC 8265 (OpaqueString) has it.

    Not NFKC: it would make one password of several that differ to their owner.
    """
    return unicodedata.normalize("NFC", password)


def check_password(password: str, own_words: Iterable[str] = ()) -> None:
    """Refuse a new password that is easy to guess; ``own_words`` are its owner's. Raises
    ``WeakPassword``."""
    password = normal(password)
    if len(password) < PASSWORD_LENGTH_MIN:
        raise WeakPassword(f"A password has {PASSWORD_LENGTH_MIN} characters or more.")
    if len(password) > PASSWORD_LENGTH_MAX:
        raise WeakPassword(f"A password has at most {PASSWORD_LENGTH_MAX} characters.")
    if any(unicodedata.category(each) in {"Cc", "Cs"} for each in password):
        raise WeakPassword("A password holds no control characters.")
    words = [word.lower() for word in own_words]
    if password.lower() in _COMMON:
        raise WeakPassword("This password is among the most common ones: take another one.")
    if password.lower() in words:
        raise WeakPassword("The password repeats the e-mail address: take another one.")
    if _score(password[:_ESTIMATED_MAX], words) < SCORE_MIN:
        raise WeakPassword()


def _score(password: str, words: list[str]) -> int:
    # The package's own function keeps the words of one call in a global dictionary: two threads
    # would judge by each other's e-mail address, and the last one would stay in memory.
    dictionaries = {
        **matching.RANKED_DICTIONARIES,
        "user_inputs": matching.build_ranked_dict(words),
    }
    found = matching.omnimatch(password, dictionaries)
    guesses = scoring.most_guessable_match_sequence(password, found)["guesses"]
    return int(time_estimates.guesses_to_score(guesses))
