"""What the routes of accounts and sessions take and answer, with examples for ``/docs``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.clock import rfc3339
from tidegate.users.emails import EMAIL_LENGTH_MAX
from tidegate.users.readings import Row
from tidegate.users.strength import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN

__all__ = [
    "SESSION_ID",
    "AccessToken",
    "Credentials",
    "NewAccount",
    "NewPassword",
    "Session",
    "SessionList",
    "TokenForm",
    "User",
]

_EMAIL: Final = "ada@example.com"
_PASSWORD: Final = "seven purple tractors"  # noqa: S105 -- an example, shown in the docs
_USER_ID: Final = "usr_01jb2k5v9m8n7p6q5r4s3t2v1w"
SESSION_ID: Final = "ses_01jb2k6x3c4d5e6f7g8h9j0k1m"
_MOMENT: Final = "2026-11-21T10:00:00.000Z"
# Longer than any password that is taken, so that an account taken over keeps an old long one.
_TEXT_MAX: Final = 1_024

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Email = Annotated[str, Field(min_length=3, max_length=EMAIL_LENGTH_MAX)]
Password = Annotated[str, Field(min_length=1, max_length=_TEXT_MAX)]
# What is wrong with these two is judged by the verbs, in words of their own.
_NewEmail = Annotated[Email, Field(json_schema_extra={"pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$"})]
_NewPassword = Annotated[
    Password,
    Field(
        description=f"{PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters, hard to guess.",
        json_schema_extra={"minLength": PASSWORD_LENGTH_MIN, "maxLength": PASSWORD_LENGTH_MAX},
    ),
]


class _Taken(BaseModel):
    """What is sent to us: no field but these, each of its own type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Credentials(_Taken):
    """An e-mail address and a password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": _EMAIL, "password": _PASSWORD}]}
    )
    email: Email
    password: Password


class NewAccount(_Taken):
    """The e-mail address and the password of an account to be."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": _EMAIL, "password": _PASSWORD}]}
    )
    email: _NewEmail
    password: _NewPassword


class TokenForm(BaseModel):
    """OAuth2's password grant (RFC 6749, 4.3.2). A client and scopes may be named and mean
    nothing here; forms leave out what is empty."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"grant_type": "password", "username": _EMAIL, "password": _PASSWORD}]
        }
    )
    grant_type: Annotated[str, Field(pattern="^(password)?$")] = "password"
    username: Annotated[str, Field(min_length=1, max_length=_TEXT_MAX)]
    password: Password
    scope: str = ""
    client_id: str = ""
    client_secret: str = ""


class NewPassword(_Taken):
    """The password that is, and the one that shall be."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"current_password": _PASSWORD, "new_password": "nine silver lighthouses"}]
        }
    )
    current_password: Password
    new_password: _NewPassword


class AccessToken(BaseModel):
    """A token for the header ``Authorization: Bearer``; ``expires_in`` is in seconds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"access_token": "eyJhbGciOi...", "token_type": "bearer", "expires_in": 900}
            ]
        }
    )
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 -- the kind of token, not one
    expires_in: int


class User(BaseModel):
    """An account."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": _USER_ID, "email": _EMAIL, "role": "user", "created_at": _MOMENT}]
        }
    )
    id: str
    email: str
    role: Literal["user", "operator", "admin"]
    created_at: Instant

    @classmethod
    def of(cls, row: Row) -> User:
        return cls(
            id=row["id"],
            email=row["email"],
            role=row["role"],
            created_at=rfc3339(row["created_at"]),
        )


class Session(BaseModel):
    """A log-in that still lives; ``current`` is the one that asks."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": SESSION_ID,
                    "created_at": _MOMENT,
                    "last_used_at": "2026-11-21T12:30:00.000Z",
                    "expires_at": "2026-12-21T10:00:00.000Z",
                    "address": "203.0.113.7",
                    "user_agent": "Mozilla/5.0",
                    "current": True,
                }
            ]
        }
    )
    id: str
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant
    address: str
    user_agent: str
    current: bool

    @classmethod
    def of(cls, row: Row, current_id: str) -> Session:
        return cls(
            id=row["id"],
            created_at=rfc3339(row["created_at"]),
            last_used_at=rfc3339(row["last_used_at"]),
            expires_at=rfc3339(row["expires_at"]),
            address=row["address"],
            user_agent=row["user_agent"],
            current=row["id"] == current_id,
        )


class SessionList(BaseModel):
    """The sessions of a user, newest first, at most 100: so there is no further page."""

    data: list[Session]
    next_cursor: None = None
