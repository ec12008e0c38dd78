"""Who sends a request: the dependencies of every route that needs a user.

``IsUser`` and ``IsOperator`` are annotations for a handler's parameter; the second refuses other
roles, by what the database says at this moment.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from tidegate.api.openapi import bearer
from tidegate.errors import Forbidden, NotAuthenticated
from tidegate.users.identify import Identity
from tidegate.users.make import Users

__all__ = ["IsOperator", "IsUser", "current_user", "operator", "users_of"]

_OPERATORS = frozenset({"operator", "admin"})


def users_of(request: Request) -> Users:
    """The verbs of accounts and sessions of the application that got ``request``."""
    found: Users = request.app.state.deps.users
    return found


async def current_user(request: Request, token: Annotated[str | None, Depends(bearer)]) -> Identity:
    """Who is asking. Raises ``NotAuthenticated`` without a token, ``InvalidToken``."""
    if not token:
        raise NotAuthenticated()
    return await users_of(request).identify(token)


IsUser = Annotated[Identity, Depends(current_user)]


async def operator(identity: IsUser) -> Identity:
    """Who is asking, an operator or admin now. Raises ``Forbidden``."""
    if identity.role not in _OPERATORS:
        raise Forbidden()
    return identity


IsOperator = Annotated[Identity, Depends(operator)]
