"""Accounts and sessions over HTTP (contract "Accounts and sessions").

The refresh token travels in a cookie only, which no script can read and which goes to this path
only. Every route that sets or reads it looks first at where the request comes from, then counts
it by address; who is counted by account too is known from the body, so that comes last.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Form, Path, Request, Response

from tidegate.api.auth_cookie import REFRESH_COOKIE, clear_cookie, known_origin, set_cookie
from tidegate.api.auth_models import (
    SESSION_ID,
    AccessToken,
    Credentials,
    NewAccount,
    NewPassword,
    Session,
    SessionList,
    TokenForm,
    User,
)
from tidegate.api.guard import GuardedRoute
from tidegate.api.identity import IsUser, users_of
from tidegate.api.limits import LimitedWrites, by_address, limit_account
from tidegate.api.openapi import problems
from tidegate.errors import (
    EmailTaken,
    InvalidCredentials,
    InvalidToken,
    NotAuthenticated,
    NotFound,
    OriginRefused,
    RefreshReused,
    TooManyRequests,
    Unavailable,
    ValidationFailed,
    WeakPassword,
)
from tidegate.users.emails import email_key
from tidegate.users.limits import LimitName, who_calls
from tidegate.users.login import Caller, Grant

__all__ = ["router"]

router = APIRouter(prefix="/api/auth", tags=["accounts"], route_class=GuardedRoute)

_KNOWN_ORIGIN = Depends(known_origin)
_RefreshToken = Annotated[
    str | None, Cookie(alias=REFRESH_COOKIE, description="Set by a log-in; scripts cannot read it.")
]
_Form = Annotated[TokenForm, Form()]


@router.post(
    "/register",
    summary="Open an account",
    status_code=201,
    dependencies=[Depends(by_address("register"))],
    responses=problems(EmailTaken, ValidationFailed, WeakPassword, TooManyRequests, Unavailable),
)
async def register(request: Request, body: NewAccount) -> User:
    """That an address has an account is told here, five times a minute at most."""
    await _count_account(request, "register", body.email)
    return User.of(await users_of(request).accounts.register(body.email, body.password))


@router.post(
    "/login",
    summary="Log in",
    dependencies=[_KNOWN_ORIGIN, Depends(by_address("login"))],
    responses=problems(
        InvalidCredentials, OriginRefused, ValidationFailed, TooManyRequests, Unavailable
    ),
)
async def login(request: Request, response: Response, body: Credentials) -> AccessToken:
    """An access token, and the cookie with the refresh token."""
    return await _log_in(request, response, body.email, body.password)


@router.post(
    "/token",
    summary="Log in with the OAuth2 password form",
    dependencies=[_KNOWN_ORIGIN, Depends(by_address("login"))],
    responses=problems(
        InvalidCredentials, OriginRefused, ValidationFailed, TooManyRequests, Unavailable
    ),
)
async def token(request: Request, response: Response, form: _Form) -> AccessToken:
    """The same as a log-in, for Authorize in `/docs`; `username` is the e-mail address."""
    return await _log_in(request, response, form.username, form.password)


@router.post(
    "/refresh",
    summary="Get a new access token",
    dependencies=[_KNOWN_ORIGIN, Depends(by_address("session"))],
    responses=problems(
        NotAuthenticated, InvalidToken, RefreshReused, OriginRefused, TooManyRequests
    ),
)
async def refresh(
    request: Request, response: Response, refresh_token: _RefreshToken = None
) -> AccessToken:
    """The cookie's token is exchanged for its successor. One that was exchanged before ends the
    session, unless it was a moment ago and the successor is not used yet: then the answer was
    lost, and is given again."""
    if not refresh_token:
        raise NotAuthenticated("There is no refresh cookie: log in.")
    return _granted(request, response, await users_of(request).refresh(refresh_token))


@router.post(
    "/logout",
    summary="Log out",
    status_code=204,
    dependencies=[_KNOWN_ORIGIN, Depends(by_address("session"))],
    responses=problems(OriginRefused, TooManyRequests),
)
async def logout(request: Request, response: Response, refresh_token: _RefreshToken = None) -> None:
    """Ends the cookie's session, with its access tokens; without a session it is done already."""
    if refresh_token:
        await users_of(request).sessions.log_out(refresh_token)
    clear_cookie(request, response)


@router.post(
    "/logout-all",
    summary="Log out everywhere",
    status_code=204,
    responses=problems(NotAuthenticated, InvalidToken, TooManyRequests),
)
async def logout_all(
    request: Request, response: Response, identity: IsUser, _: LimitedWrites
) -> None:
    """Every session and every access token of the user is void at once, this one too."""
    await users_of(request).sessions.log_out_everywhere(identity)
    clear_cookie(request, response)


@router.post(
    "/password",
    summary="Change the password",
    status_code=204,
    dependencies=[Depends(by_address("password"))],
    responses=problems(
        NotAuthenticated,
        InvalidToken,
        InvalidCredentials,
        ValidationFailed,
        WeakPassword,
        TooManyRequests,
        Unavailable,
    ),
)
async def password(
    request: Request, response: Response, identity: IsUser, body: NewPassword
) -> None:
    """Every access token is void at once and the other sessions end; this one goes on with a
    refresh."""
    await limit_account(request, "password", identity.user_id)
    await users_of(request).accounts.change_password(
        identity, body.current_password, body.new_password
    )


@router.get("/me", summary="Who am I?", responses=problems(NotAuthenticated, InvalidToken))
async def me(request: Request, identity: IsUser) -> User:
    """The account that the access token belongs to."""
    return User.of(await users_of(request).accounts.show(identity))


@router.get(
    "/sessions",
    summary="List my sessions",
    responses=problems(NotAuthenticated, InvalidToken),
)
async def sessions(request: Request, identity: IsUser) -> SessionList:
    """Where the user is logged in, newest first."""
    rows = await users_of(request).sessions.living(identity)
    return SessionList(data=[Session.of(row, identity.session_id) for row in rows])


@router.delete(
    "/sessions/{session_id}",
    summary="End one of my sessions",
    status_code=204,
    responses=problems(NotAuthenticated, InvalidToken, NotFound, TooManyRequests),
)
async def end_session(
    request: Request,
    session_id: Annotated[str, Path(examples=[SESSION_ID])],
    identity: IsUser,
    _: LimitedWrites,
) -> None:
    """Its refresh token and its access tokens are void at once."""
    await users_of(request).sessions.revoke(identity, session_id)


async def _log_in(request: Request, response: Response, email: str, secret: str) -> AccessToken:
    await _count_account(request, "login", email)
    client = request.client.host if request.client is not None else ""
    # What is no address, such as a proxy's invention, is not kept.
    address = "" if who_calls(client) == "unknown" else client
    caller = Caller(address, request.headers.get("user-agent", ""))
    grant = await users_of(request).log_in(email, secret, caller)
    return _granted(request, response, grant)


def _granted(request: Request, response: Response, grant: Grant) -> AccessToken:
    set_cookie(request, response, grant)
    # RFC 6749, 5.1: no cache keeps a token.
    response.headers["Cache-Control"] = "no-store"
    return AccessToken(access_token=grant.access_token, expires_in=grant.access_life_s)


async def _count_account(request: Request, name: LimitName, email: str) -> None:
    """By the address as it is compared, so that its spellings share one bucket."""
    await limit_account(request, name, email_key(email) or email.casefold())
