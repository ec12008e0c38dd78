"""Rate limits as dependencies, and the headers that tell of them (B3).

``RateLimit-Policy`` and ``RateLimit`` are lists of structured fields (RFC 9651) as in
draft-ietf-httpapi-ratelimit-headers since its revision 08: a policy's name with ``q`` tries in
``w`` seconds, and with ``r`` tries remaining, all again in ``t`` seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal

import structlog
from fastapi import Depends, Request

from tidegate.api.identity import IsUser, users_of
from tidegate.errors import TooManyRequests
from tidegate.users.limits import LimitName, Taken, subject_of, who_calls

__all__ = ["LimitedWrites", "by_address", "limit_account", "limit_writes"]

log = structlog.get_logger()

_POLICY, _STANDING = "RateLimit-Policy", "RateLimit"
_Kind = Literal["address", "account", "user"]


def by_address(name: LimitName) -> Callable[[Request], Awaitable[None]]:
    """A dependency that counts a request of its client's address under the limit ``name``.

    The address is the peer's, or what a trusted proxy says it is (``TRUSTED_PROXIES``): the
    server sees to that before any of this runs. Raises ``TooManyRequests``.
    """

    async def count(request: Request) -> None:
        host = request.client.host if request.client is not None else None
        await _take(request, name, "address", who_calls(host))

    return count


async def limit_account(request: Request, name: LimitName, account: str) -> None:
    """Count a request of an account, known or not, by whatever names it. Raises
    ``TooManyRequests``."""
    await _take(request, name, "account", account)


async def limit_writes(request: Request, identity: IsUser) -> None:
    """Count a write of a user, for routes without a limit of their own. Raises
    ``TooManyRequests``."""
    await _take(request, "write", "user", identity.user_id)


LimitedWrites = Annotated[None, Depends(limit_writes)]


async def _take(request: Request, name: LimitName, kind: _Kind, text: str) -> None:
    users = users_of(request)
    taken = await users.limits.take(users.limit[name], subject_of(users.rules, kind, text))
    policy, standing = _policy(taken, kind), _standing(taken, kind)
    if taken.refused:
        log.info("request.limited", limit=name, by=kind)
        raise TooManyRequests(
            retry_after_s=taken.reset_s, headers={_POLICY: policy, _STANDING: standing}
        )
    # A request may be counted twice: by its address, then by its account. The middleware puts them
    # on whatever is answered, errors included.
    told: dict[str, str] = getattr(request.state, "limits", {})
    request.state.limits = {
        _POLICY: _listed(told.get(_POLICY), policy),
        _STANDING: _listed(told.get(_STANDING), standing),
    }


def _policy(taken: Taken, kind: str) -> str:
    limit = taken.limit
    return f'"{limit.name}-{kind}";q={limit.count};w={limit.window_s}'


def _standing(taken: Taken, kind: str) -> str:
    return f'"{taken.limit.name}-{kind}";r={taken.remaining};t={taken.reset_s}'


def _listed(before: str | None, item: str) -> str:
    parts: Sequence[str] = [item] if before is None else [before, item]
    return ", ".join(parts)
