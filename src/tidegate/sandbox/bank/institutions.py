"""The banks that this bank knows, the names on their accounts, and the accounts that must fail.

NIP codes are those of the central switch (psp.md section 4); the failing accounts are the
documented magic ones of the Lenco v1 sandbox (psp.md 1.2). The names on accounts are invented:
the same number always has the same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

__all__ = ["BANKS", "FAILURE_REASONS", "MAGIC_ACCOUNTS", "account_name"]

BANKS: Final[Mapping[str, str]] = {
    "000001": "STERLING BANK",
    "000002": "KEYSTONE BANK",
    "000003": "FIRST CITY MONUMENT BANK",
    "000004": "UNITED BANK FOR AFRICA",
    "000005": "ACCESS(DIAMOND) BANK",
    "000006": "JAIZ BANK",
    "000007": "FIDELITY BANK",
    "000008": "POLARIS BANK",
    "000009": "CITIBANK NIGERIA",
    "000010": "ECOBANK NIGERIA",
    "000011": "UNITY BANK",
    "000012": "STANBIC IBTC BANK",
    "000013": "GUARANTY TRUST BANK",
    "000014": "ACCESS BANK",
    "000015": "ZENITH BANK",
    "000016": "FIRST BANK OF NIGERIA",
    "000017": "WEMA BANK",
    "000018": "UNION BANK OF NIGERIA",
    "000021": "STANDARD CHARTERED BANK",
    "000022": "SUNTRUST BANK",
    "000023": "PROVIDUS BANK",
    "000024": "RAND MERCHANT BANK",
    "060002": "FBNQUEST MERCHANT BANK",
    "060004": "GREENWICH MERCHANT BANK",
    "090267": "KUDA MICROFINANCE BANK",
    "090286": "SAFE HAVEN MICROFINANCE BANK",
    "090405": "MONIEPOINT MICROFINANCE BANK",
    "100004": "OPAY",
    "100033": "PALMPAY",
    "100039": "PAYSTACK-TITAN",
    "120003": "MTN MOMO PSB",
    "400001": "FSDH MERCHANT BANK",
}

FAILURE_REASONS: Final = {
    "unsuccessful": "Transfer Not Successful",
    "bank_unavailable": "Beneficiary Bank not Available",
    "malfunction": "System Malfunction",
    "timeout": "Timeout waiting for response from destination bank",
    "insufficient": "Insufficient Balance in Debit Account",
}

# (account number, bank code) -> reason: these transfers fail in Lenco's own sandbox too.
MAGIC_ACCOUNTS: Final[Mapping[tuple[str, str], str]] = {
    ("6257392194", "000016"): FAILURE_REASONS["unsuccessful"],
    ("4000007863", "000016"): FAILURE_REASONS["bank_unavailable"],
    ("0954428453", "000015"): FAILURE_REASONS["malfunction"],
    ("0783199300", "000015"): FAILURE_REASONS["timeout"],
    ("5858433191", "000013"): FAILURE_REASONS["insufficient"],
}

_SURNAMES = (
    "ADEYEMI", "BALOGUN", "CHUKWU", "DANJUMA", "EZE", "FASHOLA", "GARBA", "IBRAHIM",
    "LAWAL", "MOHAMMED", "NWOSU", "OKAFOR", "OKON", "SALAMI", "UDOH", "YUSUF",
)  # fmt: skip
_FIRST_NAMES = (
    "AMINA", "BLESSING", "CHIDI", "DAYO", "EMEKA", "FATIMA", "GRACE", "HALIMA",
    "IFEOMA", "KEMI", "MUSA", "NGOZI", "OLU", "SADE", "TUNDE", "ZAINAB",
)  # fmt: skip


def account_name(account_number: str) -> str:
    """The name on an account: ``SURNAME FIRST MIDDLE``, derived from the number alone."""
    digest = hashlib.sha256(account_number.encode()).digest()
    surname = _SURNAMES[digest[0] % 16]
    first, middle = _FIRST_NAMES[digest[1] % 16], _FIRST_NAMES[digest[2] % 16]
    return f"{surname} {first} {middle}"
