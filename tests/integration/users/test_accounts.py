"""Accounts over HTTP: register, log in, change the password (B1)."""

from __future__ import annotations

import asyncio

import bcrypt
import pytest

from tests.integration.users.world import EMAIL, PASSWORD, World


async def test_an_account_is_opened_and_entered(world: World) -> None:
    """The address is answered as it was written; the token says whose account it is."""
    opened = await world.register()
    assert opened.status == 201
    assert opened.body["email"] == EMAIL
    assert (opened.body["role"], set(opened.body)) == (
        "user",
        {"id", "email", "role", "created_at"},
    )
    answer = await world.log_in(EMAIL.swapcase())
    assert (answer.status, answer.body["token_type"], answer.body["expires_in"]) == (
        200,
        "bearer",
        900,
    )
    assert answer.headers["Cache-Control"] == "no-store"
    me = await world.me(answer.token)
    assert (me.status, me.body) == (200, opened.body)


async def test_an_address_has_one_account(world: World) -> None:
    """In any case of its letters, and when two register at once."""
    answers = await asyncio.gather(world.register("a@b.example"), world.register("A@B.example"))
    assert sorted(answer.status for answer in answers) == [201, 409]
    late = await world.register("a@B.EXAMPLE")
    assert (late.status, late.code) == (409, "email_taken")


@pytest.mark.parametrize(
    "password",
    ["short1!", "password123", "qwertyuiop", "ada@example.com", "aaaaaaaaaaaa", "x" * 129],
)
async def test_an_easy_password_is_refused(world: World, password: str) -> None:
    """Short, common, the address itself, a repetition, or longer than what is taken."""
    answer = await world.register(password=password)
    assert (answer.status, answer.code) == (422, "weak_password")
    assert await world.execute("SELECT count(*) FROM users") == [(0,)]


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ada", "password": PASSWORD},
        {"email": EMAIL},
        {"email": EMAIL, "password": 12345678},
        {"email": EMAIL, "password": PASSWORD, "role": "admin"},
    ],
)
async def test_what_has_another_shape_is_refused(world: World, body: object) -> None:
    """No address, a missing field, another type, a field that is not ours."""
    answer = await world.call("POST", "/api/auth/register", body)
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert answer.body["errors"]


async def test_a_password_is_stored_as_argon2id(world: World) -> None:
    """With the parameters that OWASP names: 19 MiB, two passes, one lane."""
    await world.register()
    ((hashed,),) = await world.execute("SELECT password_hash FROM users")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_unknown_and_wrong_cost_the_same(world: World) -> None:
    """One verification each and the same answer, for a disabled account and for what is no
    address as well."""
    await world.register()
    await world.register("off@example.com")
    await world.execute("UPDATE users SET state = 'disabled' WHERE email_key = 'off@example.com'")
    seen = []
    for email in (EMAIL, "nobody@example.com", "off@example.com", "no address"):
        world.hashed.clear()
        password = PASSWORD if email.startswith("off") else "another purple tractor"
        answer = await world.log_in(email, password)
        body = {name: answer.body[name] for name in ("code", "detail", "status", "title")}
        seen.append((answer.status, body, answer.headers["WWW-Authenticate"], world.hashed[:]))
    assert seen[0][0] == 401
    assert seen[0][1]["code"] == "invalid_credentials"
    assert seen[0][2:] == ("Bearer", ["verify"])
    assert all(other == seen[0] for other in seen)


async def test_bcrypt_is_accepted_once_and_upgraded(world: World) -> None:
    """Also for a password longer than the 72 bytes that bcrypt looks at."""
    password = "a sentence of a hundred characters " * 3
    await world.register(password="quite another password")
    old = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    await world.execute("UPDATE users SET password_hash = :old", old=old)
    assert (await world.log_in(password="no " + password)).status == 401
    assert await world.execute("SELECT password_hash FROM users") == [(old,)]
    answers = await asyncio.gather(*(world.log_in(password=password) for _ in range(3)))
    assert [answer.status for answer in answers] == [200, 200, 200]
    ((new,),) = await world.execute("SELECT password_hash FROM users")
    assert new.startswith("$argon2id$")
    assert (await world.log_in(password=password)).status == 200


async def test_a_composed_letter_is_the_decomposed_one(world: World) -> None:
    """Keyboards differ in how they write it; its owner does not know."""
    await world.register(password="caf\u00e9 noir quarante")
    assert (await world.log_in(password="cafe\u0301 noir quarante")).status == 200


async def test_the_password_form_logs_in(world: World) -> None:
    """As the button Authorize in /docs does."""
    await world.register()
    form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
    answer = await world.call("POST", "/api/auth/token", form=form)
    assert (answer.status, answer.body["token_type"]) == (200, "bearer")
    assert (await world.me(answer.token)).status == 200
    wrong = await world.call("POST", "/api/auth/token", form={**form, "password": "x"})
    assert (wrong.status, wrong.code) == (401, "invalid_credentials")


async def test_a_new_password_ends_everything_but_this_session(world: World) -> None:
    """Every access token is void at once; this session goes on with its cookie, others do not."""
    here = await world.known()
    elsewhere = await world.log_in()
    change = {"current_password": PASSWORD, "new_password": "nine silver lighthouses"}
    done = await world.call("POST", "/api/auth/password", change, token=here.token)
    assert done.status == 204
    for token in (here.token, elsewhere.token):
        assert (await world.me(token)).code == "invalid_token"
    assert (await world.refresh(elsewhere.cookie)).code == "invalid_token"
    renewed = await world.refresh(here.cookie)
    assert (await world.me(renewed.token)).status == 200
    assert (await world.log_in()).status == 401
    assert (await world.log_in(password="nine silver lighthouses")).status == 200


@pytest.mark.parametrize(
    ("current", "new", "refusal"),
    [
        ("not the password", "nine silver lighthouses", (401, "invalid_credentials")),
        (PASSWORD, "password123", (422, "weak_password")),
        (PASSWORD, PASSWORD, (422, "weak_password")),
    ],
)
async def test_a_password_is_changed_by_its_owner_to_a_good_one(
    world: World, current: str, new: str, refusal: tuple[int, str]
) -> None:
    """A refused change voids nothing."""
    known = await world.known()
    change = {"current_password": current, "new_password": new}
    answer = await world.call("POST", "/api/auth/password", change, token=known.token)
    assert (answer.status, answer.code) == refusal
    assert (await world.me(known.token)).status == 200


async def test_two_changes_at_once_are_one(world: World) -> None:
    """Both knew the old password; the second finds that it is not the password any more."""
    known = await world.known()
    answers = await asyncio.gather(
        *(
            world.call(
                "POST",
                "/api/auth/password",
                {"current_password": PASSWORD, "new_password": new},
                token=known.token,
            )
            for new in ("nine silver lighthouses", "four copper umbrellas")
        )
    )
    assert sorted(answer.status for answer in answers) == [204, 401]
