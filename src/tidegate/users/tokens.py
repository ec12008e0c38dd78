"""Access tokens: JWTs (RFC 7519, typed as RFC 9068) that live for minutes. Pure but for the clock.

The algorithm is pinned (RFC 8725, 3.1). PyJWT judges signature, issuer, audience and presence of
the claims; it would judge the times by the machine's clock, so these are judged here, by ours
(``clock``), without leeway: whoever signs them is whoever verifies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import jwt

from tidegate.clock import Clock, Randomness
from tidegate.errors import InvalidToken
from tidegate.users.rules import ACCESS_TTL_S_MAX, UserRules

__all__ = ["AccessTokens", "Claims"]

_ALGORITHM: Final = "HS256"
_TYPE: Final = "at+jwt"
_CLAIMS: Final = ("iss", "aud", "exp", "nbf", "iat", "sub", "jti", "sid", "ver", "role")
_OPTIONS: Final[Any] = {
    "require": list(_CLAIMS),
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "strict_aud": True,
}
# Ours have some 500 characters.
_LENGTH_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: whose it is, of which session, under which version of the
    user's tokens, until when (Unix ms)."""

    user_id: str
    session_id: str
    version: int
    expires_ms: int


class AccessTokens:
    """Signs with the first key, verifies with every key."""

    def __init__(self, clock: Clock, randomness: Randomness, rules: UserRules) -> None:
        self._clock = clock
        self._randomness = randomness
        self._rules = rules
        self._keys = rules.signing_keys

    def issue(self, *, user_id: str, session_id: str, version: int, role: str) -> str:
        """A new token for a session, valid from this second on."""
        now_s = self._clock.now_ms() // 1000
        claims = {
            "iss": self._rules.issuer,
            "aud": self._rules.audience,
            "exp": now_s + self._rules.access_ttl_s,
            "nbf": now_s,
            "iat": now_s,
            "sub": user_id,
            # A name for logs, no secret: the signature is what cannot be guessed.
            "jti": self._randomness.new_id("at"),
            "sid": session_id,
            "ver": version,
            # For clients to show the right pages; what is allowed is read from the database.
            "role": role,
        }
        return jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM, headers={"typ": _TYPE})

    def read(self, token: str) -> Claims:
        """What ``token`` says. Raises ``InvalidToken`` for any that is not ours, or not now."""
        claims = self._verified(token)
        times = [claims[name] for name in ("exp", "nbf", "iat", "ver")]
        # bool is an int, and neither a moment nor a version.
        if any(type(value) is not int for value in times):
            raise InvalidToken()
        expires_s, from_s, issued_s, version = times
        now_ms = self._clock.now_ms()
        if not issued_s < expires_s <= issued_s + ACCESS_TTL_S_MAX:
            raise InvalidToken()
        if expires_s * 1000 <= now_ms or max(from_s, issued_s) * 1000 > now_ms:
            raise InvalidToken()
        if not isinstance(claims["sid"], str):
            raise InvalidToken()
        return Claims(claims["sub"], claims["sid"], version, expires_s * 1000)

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > _LENGTH_MAX:
            raise InvalidToken()
        for key in self._keys:
            try:
                read = jwt.decode_complete(
                    token,
                    key,
                    algorithms=[_ALGORITHM],
                    options=_OPTIONS,
                    audience=self._rules.audience,
                    issuer=self._rules.issuer,
                )
            except jwt.PyJWTError:  # the next key may fit; why none does is nobody's business
                continue
            if read["header"].get("typ") == _TYPE:
                claims: dict[str, Any] = read["payload"]
                return claims
        raise InvalidToken()
