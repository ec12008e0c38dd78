"""Access tokens: what is signed, and everything that is refused (B2)."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from tidegate.clock import Randomness, SimulatedClock
from tidegate.errors import ConfigurationError, InvalidToken
from tidegate.users.rules import UserRules
from tidegate.users.tokens import AccessTokens, Claims

NEW, OLD = "the-new-signing-secret-of-32-chars!", "the-old-signing-secret-of-32-chars!"
START_MS = 1_790_000_000_123


def _rules(*secrets: str, **more: Any) -> UserRules:
    return UserRules(secret_keys=("s" * 40,), jwt_secrets=secrets, **more)


def _tokens(clock: SimulatedClock, *secrets: str, **more: Any) -> AccessTokens:
    return AccessTokens(clock, Randomness(clock, seed=1), _rules(*secrets, **more))


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(START_MS)


def _issued(clock: SimulatedClock, *secrets: str, **more: Any) -> str:
    tokens = _tokens(clock, *(secrets or (NEW,)), **more)
    return tokens.issue(user_id="usr_1", session_id="ses_1", version=3, role="operator")


def _claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def _forged(changed: dict[str, Any], kind: str = "at+jwt") -> str:
    """A token signed with the right key, with claims of the forger's choice; ``None``: without."""
    claims = {**_claims(_issued(SimulatedClock(START_MS))), **changed}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.PyJWS().encode(json.dumps(kept).encode(), NEW, "HS256", {"typ": kind})


def test_a_token_says_what_it_must(clock: SimulatedClock) -> None:
    """Every claim of RFC 9068 that is needed, by the second, and nothing else."""
    token = _issued(clock)
    start = START_MS // 1000
    claims = _claims(token)
    assert claims.pop("jti").startswith("at_")
    assert claims == {
        "iss": "tidegate",
        "aud": "tidegate-api",
        "exp": start + 900,
        "nbf": start,
        "iat": start,
        "sub": "usr_1",
        "sid": "ses_1",
        "ver": 3,
        "role": "operator",
    }
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "at+jwt"}
    assert _tokens(clock, NEW).read(token) == Claims("usr_1", "ses_1", 3, (start + 900) * 1000)


def test_a_token_ends_by_our_clock(clock: SimulatedClock) -> None:
    """To the millisecond, whatever the machine's clock says."""
    token, tokens = _issued(clock), _tokens(clock, NEW)
    clock.advance(899.876)
    tokens.read(token)
    clock.advance(0.001)
    with pytest.raises(InvalidToken):
        tokens.read(token)


def test_a_token_from_the_future_is_refused(clock: SimulatedClock) -> None:
    """By either of its moments."""
    start = START_MS // 1000
    _tokens(clock, NEW).read(_forged({}))
    for changed in ({"nbf": start + 1}, {"iat": start + 1}):
        with pytest.raises(InvalidToken):
            _tokens(clock, NEW).read(_forged(changed))


def test_the_previous_key_verifies_and_signs_no_more(clock: SimulatedClock) -> None:
    """During a rotation; once it is gone, its tokens are void."""
    token = _issued(clock, OLD)
    assert _tokens(clock, NEW, OLD).read(token).user_id == "usr_1"
    with pytest.raises(InvalidToken):
        _tokens(clock, NEW).read(token)
    with pytest.raises(InvalidToken):
        _tokens(clock, OLD).read(_issued(clock, NEW, OLD))


def test_without_a_secret_of_their_own_keys_are_derived(clock: SimulatedClock) -> None:
    """From SECRET_KEY and its predecessor, and are not these."""
    made = AccessTokens(clock, Randomness(clock), UserRules(secret_keys=("o" * 40,)))
    token = made.issue(user_id="u", session_id="s", version=1, role="user")
    rotated = AccessTokens(clock, Randomness(clock), UserRules(secret_keys=("n" * 40, "o" * 40)))
    assert rotated.read(token).user_id == "u"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, "o" * 40, algorithms=["HS256"], audience="tidegate-api")


def _unsigned(token: str, algorithm: str) -> str:
    header = json.dumps({"alg": algorithm, "typ": "at+jwt"}).encode()
    _, payload, _ = token.split(".")
    return f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{payload}."


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", ""])
def test_no_signature_is_no_token(clock: SimulatedClock, algorithm: str) -> None:
    """``alg: none`` in any spelling (RFC 8725, 2.1)."""
    with pytest.raises(InvalidToken):
        _tokens(clock, NEW).read(_unsigned(_issued(clock), algorithm))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_algorithm_is_pinned(clock: SimulatedClock, algorithm: str) -> None:
    """Another one is refused even with the right key."""
    key = NEW * 2
    token = jwt.encode(_claims(_issued(clock)), key, algorithm, headers={"typ": "at+jwt"})
    with pytest.raises(InvalidToken):
        _tokens(clock, key).read(token)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_tampered_token_is_refused(clock: SimulatedClock, part: int) -> None:
    """Any bit of any part; of the last characters some bits are padding, so not those."""
    token = _issued(clock)
    parts = token.split(".")
    for place in range(len(parts[part]) - 2):
        changed = parts[part]
        other = "A" if changed[place] != "A" else "B"
        changed = changed[:place] + other + changed[place + 1 :]
        tampered = ".".join([*parts[:part], changed, *parts[part + 1 :]])
        with pytest.raises(InvalidToken):
            _tokens(clock, NEW).read(tampered)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another-api"},
        {"aud": ["tidegate-api", "another-api"]},
        {"iss": "somebody-else"},
        {"iss": ["tidegate"]},
        {"sub": 7},
        {"jti": 7},
        {"sid": 7},
        {"ver": "3"},
        {"ver": True},
        {"exp": "1790000900"},
        {"exp": 1_790_000_900.5},
        {"nbf": True},
        # Longer than 24 hours, backwards, or over.
        {"exp": START_MS // 1000 + 24 * 60 * 60 + 1},
        {"exp": START_MS // 1000},
        {"exp": START_MS // 1000 - 1, "iat": START_MS // 1000 - 900, "nbf": 0},
    ],
)
def test_signed_but_not_ours(clock: SimulatedClock, changed: dict[str, Any]) -> None:
    """For somebody else, by somebody else, of the wrong kind, or not now."""
    with pytest.raises(InvalidToken):
        _tokens(clock, NEW).read(_forged(changed))


@pytest.mark.parametrize(
    "claim", ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "sid", "ver", "role"]
)
def test_a_missing_claim_is_refused(clock: SimulatedClock, claim: str) -> None:
    """Each of them."""
    with pytest.raises(InvalidToken):
        _tokens(clock, NEW).read(_forged({claim: None}))


def test_another_kind_of_token_is_refused(clock: SimulatedClock) -> None:
    """The key may sign other things one day (RFC 8725, 3.11)."""
    with pytest.raises(InvalidToken):
        _tokens(clock, NEW).read(_forged({}, kind="JWT"))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "x" * 5_000, "\u00e9.\u00e9.\u00e9"])
def test_what_is_no_token_is_refused(clock: SimulatedClock, text: str) -> None:
    """Without an error of another kind."""
    with pytest.raises(InvalidToken):
        _tokens(clock, NEW).read(text)


@pytest.mark.parametrize(
    "given",
    [
        {"access_ttl_s": 24 * 60 * 60 + 1},
        {"access_ttl_s": 0},
        {"jwt_secrets": ("too short",)},
        {"secret_keys": ()},
    ],
)
def test_rules_that_cannot_be_are_refused(given: dict[str, Any]) -> None:
    """At most 24 hours, and no guessable key."""
    with pytest.raises(ConfigurationError):
        UserRules(**{"secret_keys": ("s" * 40,), **given})


def test_rules_show_no_secret() -> None:
    """In a log or a traceback."""
    shown = repr(_rules(NEW))
    assert NEW not in shown
    assert "s" * 40 not in shown
