"""E-mail addresses: whether a text can be one, and how two are compared. Pure, no DNS."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from tidegate.errors import ValidationFailed

__all__ = ["EMAIL_LENGTH_MAX", "check_email", "email_key", "email_parts"]

# RFC 5321, 4.5.3.1: a path holds 256 octets with its angle brackets.
EMAIL_LENGTH_MAX: Final = 254
_LOCAL_OCTETS_MAX: Final = 64
_LABEL_LENGTH_MAX: Final = 63

# RFC 5322's dot-atom, and any letter or digit beyond ASCII (RFC 6531). The quoted form is legal
# and not in use; what comes in it is nearly always an attempt at something else.
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL = re.compile(r"[^\W_]([\w-]*[^\W_])?")


def check_email(text: str) -> str:
    """The comparison key of an address that can be one. Raises ``ValidationFailed``."""
    key = email_key(text)
    if key is None:
        raise ValidationFailed(
            [
                {
                    "field": "email",
                    "code": "invalid_email",
                    "message": "This is no e-mail address: write one such as ada@example.com.",
                }
            ]
        )
    return key


def email_key(text: str) -> str | None:
    """How ``text`` is compared: composed (NFC) and case-folded. ``None``: it is no address.

    Local parts are case-folded too: RFC 5321 allows a server to tell ``Ada`` from ``ada``, none
    of note does, and two accounts that look alike serve an impostor only.
    """
    composed = unicodedata.normalize("NFC", text)
    key = composed.casefold()
    local, at, domain = composed.rpartition("@")
    if not at or max(len(text), len(key)) > EMAIL_LENGTH_MAX:
        return None
    if not _LOCAL.fullmatch(local) or len(local.encode()) > _LOCAL_OCTETS_MAX:
        return None
    labels = domain.split(".")
    if len(labels) < 2 or labels[-1].isdigit():  # a bare host, or an IPv4 address
        return None
    if not all(len(each) <= _LABEL_LENGTH_MAX and _LABEL.fullmatch(each) for each in labels):
        return None
    return key


def email_parts(key: str) -> list[str]:
    """The words of an address that its owner's password should not be made of."""
    local, _, domain = key.rpartition("@")
    words = [key, local, domain, *re.split(r"[\W_]+", key)]
    return [word for word in dict.fromkeys(words) if len(word) > 2]
