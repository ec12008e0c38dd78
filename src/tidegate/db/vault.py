"""Short texts that are kept encrypted: secrets of receivers and the like.

A key is derived from each ``SECRET_KEY`` (HKDF with SHA-256, so that no other use of the same
setting ever sees it) and used with Fernet (AES-128-CBC and HMAC-SHA256). What was encrypted under
``SECRET_KEY_PREVIOUS`` is still read; everything new is encrypted under the current one.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tidegate.errors import ConfigurationError

__all__ = ["Vault"]

_PURPOSE = b"tidegate:vault:1"


class Vault:
    """Encrypts under ``secret_key``; decrypts also what an earlier key (``previous``) encrypted."""

    def __init__(self, secret_key: str, previous: Iterable[str] = ()) -> None:
        self._current = _fernet(secret_key)
        self._keys = MultiFernet([self._current, *(_fernet(secret) for secret in previous)])

    def encrypt(self, text: str) -> str:
        """The text as a token of letters, digits, ``-``, ``_`` and ``=``."""
        return self._keys.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """The text. Raises ``ConfigurationError`` when no key of ours encrypted ``token``."""
        try:
            return self._keys.decrypt(token.encode()).decode()
        except InvalidToken:
            raise ConfigurationError(
                ["SECRET_KEY and SECRET_KEY_PREVIOUS do not decrypt what the database holds"]
            ) from None

    def is_current(self, token: str) -> bool:
        """Is ``token`` encrypted under the current key, so that no earlier one is needed for it?"""
        try:
            self._current.decrypt(token.encode())
        except InvalidToken:
            return False
        return True


def _fernet(secret: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
    return Fernet(urlsafe_b64encode(derived))
