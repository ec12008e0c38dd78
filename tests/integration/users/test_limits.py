"""Rate limits over HTTP and across processes (B3)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.users.world import EMAIL, PASSWORD, Answer, World, rules, serve
from tidegate.cli.serve import _server_options
from tidegate.clock import SimulatedClock
from tidegate.settings import load
from tidegate.users.limits import Limit, MemoryLimits, PostgresqlLimits


@pytest.fixture
def limited(world: World) -> World:
    """The limits as they come."""
    world.use(rules(auth_per_minute=5))
    return world


def _login(email: str) -> dict[str, str]:
    return {"email": email, "password": "x"}


async def _logins(world: World, *emails: str, **more: Any) -> list[Answer]:
    return [await world.call("POST", "/api/auth/login", _login(each), **more) for each in emails]


async def test_five_log_ins_a_minute_an_address(limited: World) -> None:
    """Whatever account, by either route; then 429 until the minute is over."""
    tried = await _logins(limited, *(f"user{n}@example.com" for n in range(4)))
    form = {"username": "user5@example.com", "password": "x"}
    tried.append(await limited.call("POST", "/api/auth/token", form=form))
    assert {answer.status for answer in tried} == {401}
    limited.clock.advance(20)
    limited.hashed.clear()
    (refused,) = await _logins(limited, "user6@example.com")
    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert refused.headers["Retry-After"] == "40"
    assert refused.headers["RateLimit-Policy"] == '"login-address";q=5;w=60'
    assert refused.headers["RateLimit"] == '"login-address";r=0;t=40'
    assert limited.hashed == [], "a refused log-in costs a hash"
    limited.clock.advance(40)
    (again,) = await _logins(limited, "user6@example.com")
    assert again.status == 401


async def test_what_passes_is_told_what_is_left(limited: World) -> None:
    """Of the address and of the account."""
    await limited.register()
    limited.clock.advance(1)
    answer = await limited.log_in()
    assert answer.status == 200
    assert answer.headers["RateLimit-Policy"] == (
        '"login-address";q=5;w=60, "login-account";q=5;w=60'
    )
    assert answer.headers["RateLimit"] == '"login-address";r=4;t=60, "login-account";r=4;t=60'


async def test_five_log_ins_a_minute_an_account(limited: World) -> None:
    """From many addresses, in any spelling; other accounts are not concerned."""
    async with serve(limited, proxy_headers=True, forwarded_allow_ips=["127.0.0.0/8"]):
        for number, email in enumerate((EMAIL, EMAIL.lower(), EMAIL.upper(), EMAIL, EMAIL)):
            headers = {"X-Forwarded-For": f"203.0.113.{number}"}
            (answer,) = await _logins(limited, email, headers=headers)
            assert answer.status == 401
        headers = {"X-Forwarded-For": "203.0.113.99"}
        (refused,) = await _logins(limited, EMAIL, headers=headers)
        assert refused.headers["RateLimit-Policy"] == '"login-account";q=5;w=60'
        assert refused.status == 429
        (other,) = await _logins(limited, "other@example.com", headers=headers)
        assert other.status == 401


async def test_register_and_password_have_buckets_of_their_own(limited: World) -> None:
    """Five of each; what is refused for its shape counts too."""
    answers = [await limited.register("no address") for _ in range(4)]
    answers.append(await limited.register())
    assert [answer.status for answer in answers] == [422, 422, 422, 422, 201]
    assert (await limited.register("late@example.com")).status == 429
    token = (await limited.log_in()).token
    change = {"current_password": "wrong", "new_password": "nine silver lighthouses"}
    statuses = [
        (await limited.call("POST", "/api/auth/password", change, token=token)).status
        for _ in range(6)
    ]
    assert statuses == [401, 401, 401, 401, 401, 429]


async def test_thirty_refreshes_a_minute_an_address(limited: World) -> None:
    """Log-outs count in the same bucket."""
    statuses = []
    for number in range(31):
        path = "refresh" if number % 2 else "logout"
        statuses.append((await limited.call("POST", f"/api/auth/{path}", cookie="x")).status)
    assert statuses[:30] == [204, 401] * 15
    assert statuses[30] == 429


async def test_writes_are_counted_by_user(limited: World) -> None:
    """From whatever session; a user who is refused keeps nobody else out."""
    limited.use(rules(writes_per_minute=2))
    tokens = [(await limited.known()).token, (await limited.log_in()).token]
    await limited.register("eve@example.com")
    eve = (await limited.log_in("eve@example.com")).token
    answers = [await limited.call("POST", "/api/writes", token=each) for each in [*tokens, *tokens]]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert answers[0].headers["RateLimit"] == '"write-user";r=1;t=60'
    assert (await limited.call("POST", "/api/writes", token=eve)).status == 200


def _settings_with(proxies: str, tmp_path: Path) -> dict[str, Any]:
    settings = load(
        {
            "DEBUG": "true",
            "TRUSTED_PROXIES": proxies,
            "DATABASE_URL": f"sqlite:///{tmp_path}/unused.db",
        },
        env_file=None,
    )
    options = _server_options(settings)
    return {name: options[name] for name in ("proxy_headers", "forwarded_allow_ips")}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "host"),
    [
        # Nobody is trusted: whatever a caller writes is not read.
        ("", "203.0.113.9", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.9", "127.0.0.1"),
        # Our proxy appends whom it saw; what stands before that is the caller's invention.
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.0/8", "127.0.0.1, 203.0.113.9", "203.0.113.9"),
        # Two proxies of ours in a row.
        ("127.0.0.1,10.0.0.0/8", "198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("127.0.0.1", "2001:db8:1:2:3::4", "2001:db8:1:2:3::4"),
    ],
)
async def test_the_address_is_what_trusted_proxies_say(
    unserved: World, tmp_path: Path, proxies: str, forwarded: str, host: str
) -> None:
    """A spoofed X-Forwarded-For gains nothing."""
    async with serve(unserved, **_settings_with(proxies, tmp_path)) as world:
        answer = await world.call("GET", "/api/peer", headers={"X-Forwarded-For": forwarded})
    assert answer.body == {"host": host}


async def test_a_spoofed_header_opens_no_new_bucket(limited: World, tmp_path: Path) -> None:
    """Six callers that are one."""
    async with serve(limited, **_settings_with("", tmp_path)):
        statuses = []
        for number in range(6):
            headers = {"X-Forwarded-For": f"203.0.113.{number}"}
            (answer,) = await _logins(limited, f"user{number}@example.com", headers=headers)
            statuses.append(answer.status)
    assert statuses == [401] * 5 + [429]


async def test_the_limit_holds_across_processes(users_url: str, unserved: World) -> None:
    """Two processes' worth of objects on PostgreSQL count together, also at once; on SQLite,
    where one process serves, nothing is written for it."""
    first = unserved
    second = World(users_url, first.clock, rules())
    await second.open()
    first.use(rules(auth_per_minute=5))
    second.use(rules(auth_per_minute=5))
    try:
        limits = [world.users.limits for world in (first, second)]
        limit = first.users.limit["login"]
        taken = await asyncio.gather(
            *(limits[number % 2].take(limit, "address:x") for number in range(12))
        )
        passed = sum(not each.refused for each in taken)
        if first.database.dialect == "postgresql":
            assert isinstance(limits[0], PostgresqlLimits)
            assert passed == 5
            first.clock.advance(59)
            assert [(await each.take(limit, "address:x")).refused for each in limits] == [True] * 2
            first.clock.advance(1)
            again = [(await each.take(limit, "address:x")).remaining for each in limits]
            assert again == [4, 3]
        else:
            assert isinstance(limits[0], MemoryLimits)
            assert passed == 10
            assert await first.execute("SELECT count(*) FROM rate_limits") == [(0,)]
    finally:
        await second.close()


async def test_buckets_are_forgotten(unserved: World) -> None:
    """Of callers that are long gone no row is left."""
    limits, limit = unserved.users.limits, unserved.users.limit["login"]
    for number in range(5):
        await limits.take(limit, f"address:{number}")
    unserved.clock.advance(2 * 60 * 60)
    await limits.take(limit, "address:new")
    rows = await unserved.execute("SELECT id FROM rate_limits")
    expected = [("login:address:new",)] if unserved.database.dialect == "postgresql" else []
    assert rows == expected


async def test_a_bucket_tells_nobody_apart(limited: World) -> None:
    """Neither an address nor an account can be read from the rows."""
    await limited.register()
    await limited.call("POST", "/api/auth/login", {"email": EMAIL, "password": PASSWORD})
    rows = json.dumps([list(row) for row in await limited.execute("SELECT id FROM rate_limits")])
    assert "127.0.0.1" not in rows
    assert "ada" not in rows
    assert "example" not in rows


async def test_memory_stays_bounded() -> None:
    """A flood of addresses makes room for itself; who was refused just now stays so."""
    limits, limit = MemoryLimits(clock := SimulatedClock()), Limit("login", 5)
    for number in range(60_000):
        clock.advance(0.0001)
        await limits.take(limit, f"address:{number}")
    assert len(limits._buckets) <= 50_000
    assert (await limits.take(limit, "address:59999")).remaining == 3
