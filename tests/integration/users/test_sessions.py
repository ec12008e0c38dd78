"""Sessions and refresh tokens over HTTP (B2)."""

from __future__ import annotations

import asyncio

from tests.integration.users.world import EMAIL, PASSWORD, SECRET, Answer, World, rules
from tidegate.users.login import Caller


async def test_the_cookie_is_out_of_reach(world: World) -> None:
    """HttpOnly, Secure, SameSite=Strict, for the auth path only, as long as the session."""
    cookie = (await world.known()).set_cookie
    assert cookie is not None
    assert (cookie["httponly"], cookie["secure"]) == (True, True)
    assert (cookie["samesite"].lower(), cookie["path"], cookie["domain"]) == (
        "strict",
        "/api/auth",
        "",
    )
    assert cookie["max-age"] == str(30 * 24 * 60 * 60)


async def test_a_cookie_goes_over_plain_http_in_debug_only(world: World) -> None:
    """Nothing else about it changes."""
    world.use(rules(debug=True))
    cookie = (await world.known()).set_cookie
    assert cookie is not None
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == ("", True, "strict")


async def test_no_refresh_token_is_stored(world: World) -> None:
    """Its keyed hash is, which opens nothing."""
    first = await world.known()
    second = await world.refresh(first.cookie)
    stored = await world.execute("SELECT id FROM refresh_tokens")
    assert len(stored) == 2
    assert {first.cookie, second.cookie}.isdisjoint(row[0] for row in stored)
    assert (await world.refresh(stored[0][0])).code == "invalid_token"


async def test_a_refresh_token_is_exchanged(world: World) -> None:
    """For another one, and for an access token of the same session."""
    first = await world.known()
    world.clock.advance(60)
    second = await world.refresh(first.cookie)
    assert second.status == 200
    assert second.cookie != first.cookie
    assert (await world.me(second.token)).status == 200
    third = await world.refresh(second.cookie)
    assert (await world.me(third.token)).status == 200
    (session,) = (await world.call("GET", "/api/auth/sessions", token=third.token)).body["data"]
    assert session["current"]
    assert session["last_used_at"] > session["created_at"]
    assert third.set_cookie is not None
    assert int(third.set_cookie["max-age"]) == 30 * 24 * 60 * 60 - 60


async def test_a_stolen_refresh_token_used_twice_voids_the_family(world: World) -> None:
    """The thief's tokens and the owner's, refresh and access."""
    first = await world.known()
    second = await world.refresh(first.cookie)
    world.clock.advance(6)
    again = await world.refresh(first.cookie)
    assert (again.status, again.code) == (401, "refresh_token_reused")
    assert again.headers["WWW-Authenticate"] == "Bearer"
    for token in (first.token, second.token):
        assert (await world.me(token)).code == "invalid_token"
    for cookie in (first.cookie, second.cookie):
        assert (await world.refresh(cookie)).code == "invalid_token"
    assert await world.execute("SELECT revoked_why FROM sessions") == [("refresh_token_reused",)]


async def test_a_token_whose_successor_was_used_is_reused_within_the_grace(world: World) -> None:
    """Whoever used the successor got the answer: it was not lost."""
    first = await world.known()
    second = await world.refresh(first.cookie)
    third = await world.refresh(second.cookie)
    assert (await world.refresh(first.cookie)).code == "refresh_token_reused"
    assert (await world.me(third.token)).code == "invalid_token"


async def test_a_lost_answer_is_given_again(world: World) -> None:
    """Within the grace the same successor comes, and the family lives on."""
    first = await world.known()
    second = await world.refresh(first.cookie)
    world.clock.advance(4)
    again = await world.refresh(first.cookie)
    assert (again.status, again.cookie) == (200, second.cookie)
    assert (await world.refresh(again.cookie)).status == 200


async def test_concurrent_refreshes_give_one_successor(world: World) -> None:
    """A page with ten tabs: each gets the same cookie, and a token that works."""
    first = await world.known()
    answers = await asyncio.gather(*(world.refresh(first.cookie) for _ in range(10)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.cookie for answer in answers}) == 1
    assert await world.execute("SELECT count(*) FROM refresh_tokens") == [(2,)]
    assert (await world.me(answers[-1].token)).status == 200
    assert (await world.refresh(answers[0].cookie)).status == 200


async def test_two_processes_give_one_successor(users_url: str, unserved: World) -> None:
    """The database decides which of them exchanges the token; the other computes the same."""
    second = World(users_url, unserved.clock, rules())
    await second.open()
    try:
        await unserved.users.accounts.register(EMAIL, PASSWORD)
        first = await unserved.users.log_in(EMAIL, PASSWORD, Caller())
        grants = await asyncio.gather(
            *(world.users.refresh(first.refresh_token) for world in (unserved, second) * 4)
        )
        assert len({grant.refresh_token for grant in grants}) == 1
        assert await second.execute("SELECT count(*) FROM refresh_tokens") == [(2,)]
        await second.users.identify(grants[0].access_token)
    finally:
        await second.close()


async def test_log_out_with_a_used_token_ends_the_session(world: World) -> None:
    """A tab that missed the last refresh can still log out."""
    first = await world.known()
    second = await world.refresh(first.cookie)
    assert (await world.call("POST", "/api/auth/logout", cookie=first.cookie)).status == 204
    assert (await world.me(second.token)).code == "invalid_token"
    assert (await world.refresh(second.cookie)).code == "invalid_token"


async def test_a_family_outlives_a_change_of_the_secret_key(world: World) -> None:
    """While the previous key is kept; afterwards it is unknown."""
    first = await world.known()
    new = "another-secret-for-tests-of-32-characters"
    world.use(rules(secret_keys=(new, SECRET)))
    second = await world.refresh(first.cookie)
    assert second.status == 200
    assert (await world.refresh(first.cookie)).cookie == second.cookie
    world.use(rules(secret_keys=(new,)))
    assert (await world.refresh(first.cookie)).code == "invalid_token"
    assert (await world.refresh(second.cookie)).status == 200


async def test_an_access_token_is_void_right_after_log_out_everywhere(world: World) -> None:
    """All of them, and all cookies; a new log-in works."""
    logins = [await world.known(), await world.log_in(), await world.log_in()]
    done = await world.call("POST", "/api/auth/logout-all", token=logins[0].token)
    assert done.status == 204
    for each in logins:
        assert (await world.me(each.token)).code == "invalid_token"
        assert (await world.refresh(each.cookie)).code == "invalid_token"
    assert (await world.me((await world.log_in()).token)).status == 200


async def test_no_log_in_slips_past_log_out_everywhere(world: World) -> None:
    """A session that begins at the same moment is ended, or begins after it; never a session of
    the old version."""
    first = await world.known()
    answers = await asyncio.gather(
        *(world.log_in() for _ in range(3)),
        world.call("POST", "/api/auth/logout-all", token=first.token),
        *(world.log_in() for _ in range(3)),
    )
    assert answers[3].status == 204
    logins = [answer for answer in answers if answer.status == 200]
    assert len(logins) == 6
    for each in logins:
        works = (await world.me(each.token)).status == 200
        assert ((await world.refresh(each.cookie)).status == 200) == works


async def test_log_out_ends_this_session_only(world: World) -> None:
    """Its access token too; the cookie is taken back; a second time is no error."""
    here, elsewhere = await world.known(), await world.log_in()
    for _ in range(2):
        done = await world.call("POST", "/api/auth/logout", cookie=here.cookie)
        assert (done.status, done.cookie) == (204, "")
        assert done.set_cookie is not None
        assert (done.set_cookie["path"], done.set_cookie["max-age"]) == ("/api/auth", "0")
    assert (await world.me(here.token)).code == "invalid_token"
    assert (await world.refresh(here.cookie)).code == "invalid_token"
    assert (await world.me(elsewhere.token)).status == 200
    assert (await world.call("POST", "/api/auth/logout")).status == 204


async def test_a_session_ends_with_its_time(world: World) -> None:
    """Use does not prolong it."""
    answer = await world.known()
    for _ in range(30):
        world.clock.advance(24 * 60 * 60 - 1)
        answer = await world.refresh(answer.cookie)
        assert answer.status == 200
    world.clock.advance(31)
    assert (await world.me(answer.token)).code == "invalid_token"
    assert (await world.refresh(answer.cookie)).code == "invalid_token"


async def _sessions(world: World, token: str) -> list[dict[str, object]]:
    answer: Answer = await world.call("GET", "/api/auth/sessions", token=token)
    assert answer.status == 200
    found: list[dict[str, object]] = answer.body["data"]
    return found


async def test_sessions_are_listed_and_ended(world: World) -> None:
    """Newest first; an ended one vanishes, and its tokens are void."""
    first = await world.known()
    world.clock.advance(1)
    second = await world.log_in()
    listed = await _sessions(world, first.token)
    assert [each["current"] for each in listed] == [False, True]
    assert {each["address"] for each in listed} == {"127.0.0.1"}
    path = f"/api/auth/sessions/{listed[0]['id']}"
    assert (await world.call("DELETE", path, token=first.token)).status == 204
    assert (await world.me(second.token)).code == "invalid_token"
    assert (await world.call("DELETE", path, token=first.token)).status == 404
    assert [each["current"] for each in await _sessions(world, first.token)] == [True]


async def test_the_session_of_somebody_else_is_not_found(world: World) -> None:
    """As one that never was, and as what no id can be; it lives on."""
    victim = await world.known()
    await world.register("eve@example.com")
    eve = await world.log_in("eve@example.com")
    (session,) = await _sessions(world, victim.token)
    for name in (session["id"], "ses_never", "x" * 300, "a%00b", "%F0%9F%92%A9"):
        answer = await world.call("DELETE", f"/api/auth/sessions/{name}", token=eve.token)
        assert (answer.status, answer.code) == (404, "not_found")
    assert (await world.me(victim.token)).status == 200


async def test_a_disabled_user_is_out_at_once(world: World) -> None:
    """Without any cache in between."""
    known = await world.known()
    await world.execute("UPDATE users SET state = 'disabled'")
    assert (await world.me(known.token)).code == "invalid_token"
    assert (await world.refresh(known.cookie)).code == "invalid_token"


async def test_the_role_is_what_the_database_says(world: World) -> None:
    """The token still says user, then still operator."""
    known = await world.known()
    assert (await world.call("GET", "/api/ops/anything", token=known.token)).code == "forbidden"
    for role, status in (("operator", 200), ("admin", 200), ("user", 403)):
        await world.execute("UPDATE users SET role = :role", role=role)
        answer = await world.call("GET", "/api/ops/anything", token=known.token)
        assert answer.status == status


async def test_without_a_token_nobody_is_known(world: World) -> None:
    """401 with the challenge, and no word about why a token is wrong."""
    missing = await world.call("GET", "/api/auth/me")
    assert (missing.status, missing.code) == (401, "not_authenticated")
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    wrong = await world.me("not.a.token")
    assert (wrong.status, wrong.code) == (401, "invalid_token")
    assert wrong.headers["WWW-Authenticate"] == "Bearer"
    assert (await world.call("POST", "/api/auth/refresh")).code == "not_authenticated"


async def test_the_cookie_is_taken_from_our_pages_only(world: World) -> None:
    """Own host and listed origins; programs send no origin; a refusal changes nothing."""
    world.use(rules(origins=frozenset({"https://shop.example"})))
    cookie = (await world.known()).cookie
    for path in ("refresh", "logout", "login", "token"):
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Origin": "https://shop.example.evil.example"},
            {"Origin": "https://shop.example:bad"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": world.base, "Sec-Fetch-Site": "cross-site"},
        ):
            answer = await world.call(
                "POST",
                f"/api/auth/{path}",
                _body(path),
                cookie=cookie,
                headers=headers,
                form=_form(path),
            )
            assert (answer.status, answer.code) == (403, "origin_refused"), (path, headers)
    for headers in (
        {},
        {"Origin": world.base, "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"},
    ):
        answer = await world.call("POST", "/api/auth/refresh", cookie=cookie, headers=headers)
        assert answer.status == 200, headers
        cookie = answer.cookie


def _body(path: str) -> dict[str, str] | None:
    return {"email": EMAIL, "password": "x"} if path == "login" else None


def _form(path: str) -> dict[str, str] | None:
    return {"username": EMAIL, "password": "x"} if path == "token" else None
