"""The settings of encryption at rest."""

from __future__ import annotations

from pydantic import SecretStr

from tidegate.settings.group import Group, env
from tidegate.settings.values import OptionalSecret

__all__ = ["DataGroup"]


class DataGroup(Group):
    """Encryption at rest"""

    key: OptionalSecret = env(
        "DATA_KEY",
        None,
        "Recipients' data is kept encrypted under it; 32 random characters or more. Keep it where "
        "no backup of the database is: without it what is encrypted is lost. Set it only once "
        "every process is of a version that knows it.",
    )
    key_previous: OptionalSecret = env(
        "DATA_KEY_PREVIOUS",
        None,
        "The last `DATA_KEY`, until `tidegate data rekey` has found nothing under it any more. "
        "Alone, without `DATA_KEY`: everything is brought back into the clear.",
    )

    @property
    def current(self) -> str | None:
        """What is encrypted from now on is encrypted under this; ``None``: nothing is."""
        return _text(self.key)

    @property
    def previous(self) -> tuple[str, ...]:
        """What else is read."""
        text = _text(self.key_previous)
        return () if text is None else (text,)


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
