"""The cookie of the refresh token, and from where requests with it are taken.

``SameSite=Strict`` keeps the cookie out of what other sites send, in browsers that know it; the
check of ``Origin`` and ``Sec-Fetch-Site`` holds where that fails, such as for a neighbour under
the same domain. Programs that are no browsers send neither header and are let through: they hold
the cookie because it is theirs.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from tidegate.api.identity import users_of
from tidegate.errors import OriginRefused
from tidegate.users.login import Grant

__all__ = ["REFRESH_COOKIE", "clear_cookie", "known_origin", "set_cookie"]

REFRESH_COOKIE: Final = "refresh_token"
_PATH: Final = "/api/auth"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def set_cookie(request: Request, response: Response, grant: Grant) -> None:
    """Hand out the refresh token of ``grant`` for as long as its session lives."""
    response.set_cookie(
        REFRESH_COOKIE,
        grant.refresh_token,
        max_age=grant.refresh_life_s,
        path=_PATH,
        httponly=True,
        samesite="strict",
        secure=not users_of(request).rules.debug,
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Take the refresh token back."""
    response.delete_cookie(
        REFRESH_COOKIE,
        path=_PATH,
        httponly=True,
        samesite="strict",
        secure=not users_of(request).rules.debug,
    )


async def known_origin(request: Request) -> None:
    """A dependency: the page that sends this is ours, or one of ``CORS_ORIGINS``.

    Raises ``OriginRefused``.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin in users_of(request).rules.origins:
        return
    # Of a listed origin it is what it must be; of any other one it says who really sent this.
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise OriginRefused()
    if origin is not None and not _is_own(request, origin):
        raise OriginRefused()


def _is_own(request: Request, origin: str) -> bool:
    """The origin's host and port are those that the request was sent to.

    Its scheme is not compared: behind a proxy that ends TLS we may not know ours. A page cannot
    choose the ``Host`` that its browser sends.
    """
    try:
        there = urlsplit(origin)
        port = _DEFAULT_PORTS.get(there.scheme)
        here = urlsplit(f"//{request.headers.get('host', '')}")
        same_port = (there.port or port) == (here.port or port)
    except ValueError:  # a port that is none
        return False
    return there.hostname is not None and there.hostname == here.hostname and same_port
