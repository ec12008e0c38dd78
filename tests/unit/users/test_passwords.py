"""Passwords: which are taken, how they are hashed, how many at once."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from tidegate.errors import Unavailable, ValidationFailed, WeakPassword
from tidegate.users.passwords import Passwords
from tidegate.users.strength import check_password

# Without annotations: a type checker shall not look into it.
_MATCHING = "zxcvbn.matching"
GOOD = "seven purple tractors"


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "vK3#qZ9w",
        "\u043a\u043e\u0440\u0430\u0431\u043b\u044c \u043f\u043b\u044b\u0432\u0451\u0442",
        "seven purple tractors " * 5,
        "\u2603\ufe0f\U0001f6b2\U0001f408 forest lamp",
    ],
)
def test_a_good_password_is_taken(password: str) -> None:
    """No rule of composition: blanks, scripts and signs are as good as digits."""
    check_password(password)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "Ab3$xyZ",
        "password",
        "PASSWORD",
        "iloveyou",
        "qwertyuiop",
        "12345678",
        "abcdefgh",
        "11111111111111111111",
        "p@ssw0rd1",
        "monkey123",
        "x" * 129,
        "seven purple\ttractors",
        "seven purple \ud800tractors",
    ],
)
def test_a_bad_password_is_refused(password: str) -> None:
    """Short, common, a row of keys, repeated, too long, with what nobody can type."""
    with pytest.raises(WeakPassword):
        check_password(password)


def test_eight_characters_are_counted_as_letters() -> None:
    """A letter and its accent are one."""
    with pytest.raises(WeakPassword, match="8 characters"):
        check_password("e\u0301" * 4)


def test_the_owners_words_count_as_common() -> None:
    """Of the one who asks, and of nobody who asked before or at the same time."""
    check_password("zanzibarexample7")
    with pytest.raises(WeakPassword):
        check_password("zanzibarexample7", ["zanzibarexample", "zanzibar", "example"])
    check_password("zanzibarexample7")
    known = sys.modules[_MATCHING].RANKED_DICTIONARIES
    assert not any("zanzibarexample" in words for words in known.values())
    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(check_password, "zanzibarexample7", ["x"]) for _ in range(20)]:
            each.result()


def test_a_hostile_password_is_estimated_by_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Characters that can each stand for several cost seconds, if all of them were looked at."""
    estimated: list[str] = []
    estimate = sys.modules[_MATCHING].omnimatch

    def watched(text: str, words: object) -> object:
        estimated.append(text)
        return estimate(text, words)

    monkeypatch.setattr(f"{_MATCHING}.omnimatch", watched)
    hostile = "48({[<369!1|0$5+7x%2abegilostz@" * 4
    check_password(hostile)
    assert estimated == [hostile[:24]]


async def test_hashes_are_verified() -> None:
    """And never belong to another password, nor to nobody."""
    passwords = Passwords()
    hashed = await passwords.hash(GOOD)
    assert await passwords.verify(GOOD, hashed)
    assert not await passwords.verify(GOOD + "!", hashed)
    assert not await passwords.verify(GOOD, None)
    assert await passwords.upgraded(GOOD, hashed) is None
    assert await passwords.hash(GOOD) != hashed


async def test_weaker_argon2_is_upgraded() -> None:
    """Hashes of other parameters are made anew."""
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1),)).hash(GOOD)
    passwords = Passwords()
    assert await passwords.verify(GOOD, weak)
    better = await passwords.upgraded(GOOD, weak)
    assert better is not None
    assert "m=19456,t=2,p=1" in better


@pytest.mark.parametrize("hashed", ["", "!", "plain text", "$1$abc$def"])
async def test_what_is_no_hash_fits_no_password(hashed: str) -> None:
    """And is not accepted as one."""
    passwords = Passwords()
    assert not await passwords.verify(hashed, hashed)
    with pytest.raises(ValidationFailed):
        passwords.check_hash(hashed)


async def test_odd_texts_are_wrong_passwords() -> None:
    """Half a surrogate, a NUL, a hundred thousand characters: no error of ours."""
    passwords = Passwords()
    old = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    for hashed in (await passwords.hash(GOOD), old, None):
        for odd in ("\ud800", "\0", "x" * 100_000, ""):
            assert not await passwords.verify(odd, hashed)


async def test_few_hashes_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on meanwhile, and a crowd is sent away instead of being kept."""
    passwords = Passwords()
    running, most = 0, 0
    lock, go_on = threading.Lock(), threading.Event()

    def slow(password: str, hashed: str | None) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go_on.wait(10)
        with lock:
            running -= 1
        return True

    monkeypatch.setattr(passwords, "_verify_now", slow)
    crowd = [asyncio.create_task(passwords.verify(GOOD, None)) for _ in range(64)]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        await passwords.verify(GOOD, None)
    go_on.set()
    assert all(await asyncio.gather(*crowd))
    assert most == 2
    assert await passwords.verify(GOOD, None)
