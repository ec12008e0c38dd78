"""What accounts and tokens are run by, from the settings. Durations in the unit named."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from tidegate.errors import ConfigurationError

__all__ = ["ACCESS_TTL_S_MAX", "UserRules", "keyed_hash"]

ACCESS_TTL_S_MAX: Final = 24 * 60 * 60
# RFC 7518, 3.2: a key of HS256 is no shorter than its hash.
_JWT_SECRET_BYTES_MIN: Final = 32


@dataclass(frozen=True, slots=True)
class UserRules:
    """What the operator decided.

    ``secret_keys`` and ``jwt_secrets``: the current one first, then the previous one while it
    is being replaced. Without ``jwt_secrets`` the signing keys are derived from
    ``secret_keys``. ``origins`` are those beside our own host that may send the cookie
    (``CORS_ORIGINS``, and ``PUBLIC_URL``'s origin). ``session_ttl_s`` counts from the log-in and
    is not prolonged by use. Raises ``ConfigurationError``.
    """

    secret_keys: tuple[str, ...] = field(repr=False)
    jwt_secrets: tuple[str, ...] = field(default=(), repr=False)
    issuer: str = "tidegate"
    audience: str = "tidegate-api"
    access_ttl_s: int = 15 * 60
    session_ttl_s: int = 30 * 24 * 60 * 60
    refresh_grace_s: float = 5.0
    auth_per_minute: int = 5
    renewals_per_minute: int = 30
    writes_per_minute: int = 600
    origins: frozenset[str] = frozenset()
    debug: bool = False

    def __post_init__(self) -> None:
        faults = []
        if not self.secret_keys:
            faults.append("There is no SECRET_KEY: set one.")
        if not 1 <= self.access_ttl_s <= ACCESS_TTL_S_MAX:
            faults.append("An access token lives from one second to 24 hours: correct its time.")
        if any(len(secret.encode()) < _JWT_SECRET_BYTES_MIN for secret in self.jwt_secrets):
            faults.append("JWT_SECRET is shorter than 32 characters: take a longer one.")
        if faults:
            raise ConfigurationError(faults)

    @property
    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys of access tokens: the first signs, all of them verify."""
        if self.jwt_secrets:
            return tuple(secret.encode() for secret in self.jwt_secrets)
        return tuple(keyed_hash(secret, "access token key", "") for secret in self.secret_keys)


def keyed_hash(secret: str, label: str, text: str) -> bytes:
    """HMAC-SHA256 of ``text`` under ``secret``; ``label`` keeps one use apart from another."""
    return hmac.digest(secret.encode(), f"tidegate:{label}:{text}".encode(), hashlib.sha256)
