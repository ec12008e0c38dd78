"""What a group of settings is, and how one of its fields is declared."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

__all__ = ["DEVELOPMENT", "DEVELOPMENT_SECRET", "Group", "env", "secrets_of"]

DEVELOPMENT_SECRET = "development-only-never-in-production"  # noqa: S105 -- says so itself
DEVELOPMENT = SecretStr(DEVELOPMENT_SECRET)


class Group(BaseModel):
    """A part of the settings; frozen, and without secrets in its repr."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)


def env(name: str, default: Any, meaning: str, *, needed: bool = False) -> Any:
    """Declare a field: its variable, its default, its meaning.

    A ``needed`` one must be given when ``DEBUG`` is off; its default serves development only.
    """
    extra: JsonDict = {"needed": needed}
    return Field(default, validation_alias=name, description=meaning, json_schema_extra=extra)


def secrets_of(current: SecretStr, previous: SecretStr | None) -> tuple[str, ...]:
    """The texts to verify with: the current one first, then the previous one if there is one."""
    both = [current, *([previous] if previous is not None else [])]
    return tuple(secret.get_secret_value() for secret in both)
