"""The settings of retention: how many days what ages out is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tidegate.settings.group import Group, env
from tidegate.settings.values import Says, Seconds

__all__ = ["RetentionGroup"]

# A century: more is "for ever", which is spelled 0.
Days = Annotated[int, Field(ge=0, le=36_500), Says("whole days; 0 keeps for ever")]


class RetentionGroup(Group):
    """Retention"""

    offers: Days = env(
        "RETAIN_OFFERS_DAYS",
        90,
        "Raw offers of orders that have ended; 2 or more.",
    )
    inbox: Days = env(
        "RETAIN_INBOX_DAYS",
        90,
        "Webhooks and events that were read; 35 or more, because the processor lists its events "
        "for 30 days.",
    )
    exchanges: Days = env(
        "RETAIN_EXCHANGES_DAYS",
        90,
        "What was said to other companies about what has ended, with no open case; 7 or more.",
    )
    observations: Days = env(
        "RETAIN_OBSERVATIONS_DAYS",
        365,
        "Evidence about transfers of orders that have ended; 30 or more.",
    )
    deliveries: Days = env(
        "RETAIN_DELIVERIES_DAYS",
        90,
        "Deliveries to webhook endpoints that do not wait any more, with their tries; 7 or more.",
    )
    sessions: Days = env(
        "RETAIN_SESSIONS_DAYS",
        30,
        "Sessions and their refresh tokens, counted from the session's end; 1 or more.",
    )
    idempotency_keys: Days = env(
        "RETAIN_IDEMPOTENCY_KEYS_DAYS",
        30,
        "Answered idempotency keys of payments that can move no money any more; 2 or more.",
    )
    every: Seconds = env("RETENTION_INTERVAL", 86_400.0, "Between removals of what has aged out.")
