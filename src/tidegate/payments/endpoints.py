"""Webhook endpoints: where a user's events are sent (payments.md, "Telling the client").

Every change goes through :class:`~tidegate.payments.announce.Amend`, so that a change, an
announcement and the end of a turn of deliveries never lose each other's wish. A change that the
user makes to reach a receiver (another URL, enabled again) makes the endpoint due at once and its
failures start anew: whoever repaired the receiver shall not wait for the back-off of the old one.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from tidegate.clock import Clock, Randomness, rfc3339
from tidegate.db.committer import Committer, Operation, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Change, Done, Next
from tidegate.db.vault import Vault
from tidegate.errors import (
    LimitReached,
    NotFound,
    ReceiverRefused,
    Stale,
    ValidationFailed,
    WriteRefused,
)
from tidegate.payments.announce import DELIVER, Amend, Open
from tidegate.payments.deliver_filters import FILTERS
from tidegate.payments.deliver_store import Row, failing_deliveries
from tidegate.payments.tables import deliveries, webhook_endpoints
from tidegate.ports.notifier import Notifier

__all__ = ["ENDPOINTS_MAX", "OVERLAP_MS", "Endpoints", "endpoint_view", "own_endpoint"]

ENDPOINTS_MAX: Final = 16
OVERLAP_MS: Final = 24 * 3_600_000
"""For so long after a rotation the previous secret signs as well."""

_SECRET_BYTES = 32
_DECISIONS = 5

_own = select(webhook_endpoints).where(
    webhook_endpoints.c.user_id == bindparam("user_id"), webhook_endpoints.c.state != "deleted"
)
_all = _own.order_by(webhook_endpoints.c.id.desc())
_one = _own.where(webhook_endpoints.c.id == bindparam("id"))


class Endpoints:
    """The verbs of a user's endpoints. What is not the user's own is not found."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        vault: Vault,
        notifier: Notifier,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._vault = vault
        self._notifier = notifier

    async def create(self, user_id: str, url: str, events: Sequence[str]) -> dict[str, Any]:
        """A new endpoint, with its ``secret``, which is not shown again.

        Raises ``ReceiverRefused``, ``ValidationFailed`` and ``LimitReached``.
        """
        self._check_url(url)
        now_ms = self._clock.now_ms()
        secret = _new_secret()
        row = {
            "id": self._randomness.new_id("we"),
            "user_id": user_id,
            "url": url,
            "events": _checked(events),
            "state": "enabled",
            "secret": self._vault.encrypt(secret),
            "created_at": now_ms,
            "updated_at": now_ms,
        }
        try:
            await self._committer.commit(Unit([Open(row, ENDPOINTS_MAX)]))
        except WriteRefused:  # the one refusal of this operation
            raise LimitReached(
                f"There are {ENDPOINTS_MAX} webhook endpoints: delete one first."
            ) from None
        return {
            **endpoint_view({**row, "disabled_why": None, "failures": 0, "previous_until": None}),
            "secret": secret,
        }

    async def all(self, user_id: str) -> list[dict[str, Any]]:
        """All endpoints of the user, newest first."""

        def read(connection: Connection) -> list[dict[str, Any]]:
            rows = connection.execute(_all, {"user_id": user_id}).mappings()
            return [endpoint_view(dict(row)) for row in rows]

        return await self._database.fetch(read)

    async def show(self, user_id: str, endpoint_id: str) -> dict[str, Any]:
        """One endpoint. Raises ``NotFound``."""
        return endpoint_view(await self._row(user_id, endpoint_id))

    async def patch(
        self,
        user_id: str,
        endpoint_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        enabled: bool | None = None,
    ) -> dict[str, Any]:
        """Change what is given. Events that were announced before keep waiting or stay left out;
        what waits is sent when the endpoint is enabled."""
        if url is not None:
            self._check_url(url)
        filters = None if events is None else _checked(events)
        for _ in range(_DECISIONS):
            row = await self._row(user_id, endpoint_id)
            values: dict[str, Any] = {"updated_at": self._clock.now_ms()}
            if url is not None:
                values["url"] = url
            if filters is not None:
                values["events"] = filters
            if enabled is not None:
                values["state"] = "enabled" if enabled else "disabled"
                values["disabled_why"] = None if enabled else "by_user"
            if row["state"] == "disabled" and enabled is False:
                values["disabled_why"] = row["disabled_why"]
            state = values.get("state", row["state"])
            moved = url not in (None, row["url"]) or state != row["state"]
            next_: Next | Done | None = None
            operations: list[Operation] = []
            if moved:
                next_ = Next(DELIVER) if state == "enabled" else DONE
                values["failures"] = 0
                operations = await self._anew(endpoint_id)
            change = Change(
                webhook_endpoints,
                endpoint_id,
                values=values,
                expect={"state": row["state"]},
                next=next_,
            )
            try:
                await self._committer.commit(Unit([*operations, Amend(change)]))
            except Stale:
                continue  # disabled or enabled meanwhile, or something was delivered just now
            return endpoint_view({**row, **values})
        raise Stale()

    async def delete(self, user_id: str, endpoint_id: str) -> None:
        """Nothing is sent any more, and its secret is forgotten. Raises ``NotFound``."""
        await self._row(user_id, endpoint_id)
        now_ms = self._clock.now_ms()
        values = {"state": "deleted", "secret": "", "secret_previous": None, "updated_at": now_ms}
        change = Change(webhook_endpoints, endpoint_id, values=values, next=DONE)
        await self._committer.commit(Unit([Amend(change)]))

    async def rotate(self, user_id: str, endpoint_id: str) -> dict[str, Any]:
        """A new ``secret``, shown once; the previous one signs beside it for a day.

        A third within the day ends the first at once. Raises ``NotFound``.
        """
        for _ in range(_DECISIONS):
            row = await self._row(user_id, endpoint_id)
            secret, now_ms = _new_secret(), self._clock.now_ms()
            values = {
                "secret": self._vault.encrypt(secret),
                "secret_previous": self._vault.encrypt(self._vault.decrypt(row["secret"])),
                "previous_until": now_ms + OVERLAP_MS,
                "updated_at": now_ms,
            }
            # On the secret that was read: of two rotations at once, both are in the end in use.
            change = Change(
                webhook_endpoints, endpoint_id, values=values, expect={"secret": row["secret"]}
            )
            try:
                await self._committer.commit(Unit([Amend(change)]))
            except Stale:
                continue
            return {**endpoint_view({**row, **values}), "secret": secret}
        raise Stale()

    async def _row(self, user_id: str, endpoint_id: str) -> Row:
        return await self._database.fetch(
            lambda connection: own_endpoint(connection, user_id, endpoint_id)
        )

    async def _anew(self, endpoint_id: str) -> list[Operation]:
        """What failed so far counts from now on: a repaired receiver has its five days again."""
        waiting = await self._database.fetch(
            lambda connection: failing_deliveries(connection, endpoint_id)
        )
        return [
            Change(
                deliveries,
                each["id"],
                values={"first_failed_at": None, "next_at": None},
                expect={"state": "waiting"},
            )
            for each in waiting
        ]

    def _check_url(self, url: str) -> None:
        if (why := self._notifier.check(url)) is not None:
            raise ReceiverRefused(why)


def own_endpoint(connection: Connection, user_id: str, endpoint_id: str) -> Row:
    """The user's endpoint. Raises ``NotFound``."""
    parameters = {"user_id": user_id, "id": endpoint_id}
    row = connection.execute(_one, parameters).mappings().one_or_none()
    if row is None:
        raise NotFound()
    return dict(row)


def endpoint_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """An endpoint as the API shows it: never a secret."""
    previous_until = row["previous_until"]
    return {
        "id": row["id"],
        "object": "webhook_endpoint",
        "url": row["url"],
        "events": row["events"],
        "enabled": row["state"] == "enabled",
        "disabled_reason": row["disabled_why"],
        "failures": row["failures"],
        "previous_secret_until": None if previous_until is None else rfc3339(previous_until),
        "created_at": rfc3339(row["created_at"]),
        "updated_at": rfc3339(row["updated_at"]),
    }


def _new_secret() -> str:
    # Not from clock.Randomness: that one repeats when it is seeded and guards no secret.
    return f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def _checked(events: Sequence[str]) -> list[str]:
    """The filters without repetition. Raises ``ValidationFailed`` for what is none."""
    faults = [
        {
            "field": f"events.{place}",
            "code": "unknown_event",
            "message": "This is neither a type of event nor a family such as payment.*",
        }
        for place, each in enumerate(events)
        if each not in FILTERS
    ]
    if not events:
        faults = [{"field": "events", "code": "empty", "message": "Name at least one event"}]
    if faults:
        raise ValidationFailed(faults)
    return list(dict.fromkeys(events))
