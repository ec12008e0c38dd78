"""What a key announces: a secret, an account, a name, something personal, or a sentence. Pure.

Keys are judged however they are spelled: ``accountNumber``, ``account-number`` and
``ACCOUNT_NUMBER`` are one key.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

__all__ = ["Sort", "sort_of"]


class Sort(Enum):
    """What kind of thing a key announces."""

    SECRET = "secret"  # noqa: S105 -- the word, not a secret
    ACCOUNT = "account"
    NAME = "name"
    PERSONAL = "personal"
    FREE_TEXT = "free text"


# Endings: "lenco_api_key" and "x_request_signature" are as secret as their last words.
_SECRET_ENDINGS = (
    "api_key",
    "apikey",
    "authorization",
    "client_assertion",
    "cookie",
    "credential",
    "credentials",
    "data_key",
    "data_key_previous",
    "cvc",
    "cvv",
    "jwt",
    "otp",
    "password",
    "passwd",
    "pin",
    "private_key",
    "secret",
    "secret_key",
    "secret_previous",
    "secret_key_previous",
    "api_key_previous",
    "signature",
    "signing_key",
    "token",
    "tokens",
    "webhook_key",
    "webhook_secret",
)
_ACCOUNT_ENDINGS = (
    "account_identifier",
    "account_no",
    "account_number",
    "business_number",
    "iban",
    "msisdn",
    "nuban",
    "paybill",
    "phone",
    "phone_number",
    "recipient_account",
    "till_number",
    "wallet_number",
)
_NAME_ENDINGS = (
    "account_name",
    "beneficiary",
    "beneficiary_name",
    "customer_name",
    "first_name",
    "full_name",
    "holder",
    "holder_name",
    "last_name",
    "recipient",
    "recipient_name",
    "sender_name",
)
_PERSONAL_ENDINGS = ("address_line", "bvn", "dob", "email", "kyc", "memo", "postal_code")
_FREE_TEXT = frozenset(
    {"description", "detail", "error", "message", "narration", "reason", "title"}
    | {"reason_for_failure", "reason_text", "validation_error", "complete_message"}
)
# Whole keys only, because their ends mean other things elsewhere.
_WHOLE = {"name": Sort.NAME, "account": Sort.ACCOUNT, "accounts": Sort.ACCOUNT}

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@lru_cache(maxsize=2048)
def sort_of(key: str) -> Sort | None:
    """Say what ``key`` announces; ``None`` when nothing that needs care."""
    key = _CAMEL.sub("_", key).replace("-", "_").replace(" ", "_").lower()
    if (whole := _WHOLE.get(key)) is not None:
        return whole
    if key in _FREE_TEXT:
        return Sort.FREE_TEXT
    for sort, endings in (
        (Sort.SECRET, _SECRET_ENDINGS),
        (Sort.ACCOUNT, _ACCOUNT_ENDINGS),
        (Sort.NAME, _NAME_ENDINGS),
        (Sort.PERSONAL, _PERSONAL_ENDINGS),
    ):
        if any(key == ending or key.endswith(f"_{ending}") for ending in endings):
            return sort
    return None
