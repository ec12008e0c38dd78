"""Forget a user: address, sessions, cards, and the free texts of their payments.

What they paid stays, with amounts, references and times. Their receivers are removed and what
waited for them is given up; what a card processor keeps is erased there, by its own means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, null, select, update

from tidegate.db.idempotency import idempotency_keys
from tidegate.errors import NotFound, Stale
from tidegate.payments.tables import (
    card_customers,
    deliveries,
    delivery_attempts,
    disputes,
    payment_events,
    payment_methods,
    payments,
    refunds,
    webhook_endpoints,
)
from tidegate.retention.erase import scrubbed
from tidegate.retention.kinds import payment_over
from tidegate.retention.traces import erase_traces
from tidegate.users.tables import refresh_tokens, sessions, users

__all__ = ["UserData"]

_EARLIER_MS = 60_000
# Members of payments, refunds, cards and disputes as the API and the events show them.
_EMPTY: Mapping[str, Any] = {
    "description": lambda: None,
    "metadata": dict,
    "return_url": lambda: None,
    "next_action": lambda: None,
    "message": lambda: None,
    "detail": lambda: None,
    "reason": lambda: None,
    "card": lambda: None,
}


@dataclass(frozen=True, slots=True)
class UserData:
    """The user ``user_id``."""

    user_id: str

    def check(self, connection: Connection, now_ms: int) -> None:
        mine = payments.c.user_id == self.user_id
        row = connection.execute(
            select(users.c.id).where(users.c.id == self.user_id).with_for_update()
        ).first()
        if row is None:
            raise NotFound(f"There is no user {self.user_id}.")
        open_ = connection.execute(
            select(payments.c.id).where(mine, ~payment_over()).order_by(payments.c.id).limit(1)
        ).scalar()
        if open_ is not None:
            raise Stale(
                f"The payment {open_}, a refund or a dispute of it is under way, or a case about "
                "it is open. Erase the user once that has ended."
            )
        busy = connection.execute(
            select(webhook_endpoints.c.id).where(
                webhook_endpoints.c.user_id == self.user_id,
                webhook_endpoints.c.leased_until > now_ms,
            )
        ).first()
        if busy is not None:
            raise Stale("A receiver of the user is being told something: try again in a minute.")

    def forget(self, connection: Connection, now_ms: int) -> Mapping[str, int]:
        its = {
            table.name: connection.execute(select(table).where(self._of(table))).all()
            for table in (payments, refunds, disputes)
        }
        customers = connection.execute(
            select(card_customers.c.reference).where(card_customers.c.user_id == self.user_id)
        ).scalars()
        ids = {row.id for rows in its.values() for row in rows}
        references = {row.processor_reference for rows in its.values() for row in rows}
        touched = {
            "sessions": self._account(connection, now_ms),
            **self._payments(connection),
            "deliveries": self._receivers(connection, now_ms),
        }
        traces = erase_traces(
            connection,
            {self.user_id, *ids},
            ids | {each for each in (*references, *customers) if each},
            {row.processor for row in its["payments"]},
            min((row.created_at for row in its["payments"]), default=now_ms) - _EARLIER_MS,
        )
        connection.execute(
            update(card_customers)
            .where(card_customers.c.user_id == self.user_id)
            .values(reference=null())
        )
        return touched | traces

    def _of(self, table: Table) -> Any:
        if "user_id" in table.c:
            return table.c.user_id == self.user_id
        own = select(payments.c.id).where(payments.c.user_id == self.user_id)
        return table.c.payment_id.in_(own)

    def _account(self, connection: Connection, now_ms: int) -> int:
        """Nobody logs in any more, and every session and token is void at once."""
        gone = f"{self.user_id}@erased.invalid"
        connection.execute(
            update(users)
            .where(users.c.id == self.user_id)
            .values(
                email=gone,
                email_key=gone,
                password_hash="",
                state="disabled",
                token_version=users.c.token_version + 1,
                erased_at=now_ms,
                updated_at=now_ms,
            )
        )
        own = select(sessions.c.id).where(sessions.c.user_id == self.user_id)
        connection.execute(delete(refresh_tokens).where(refresh_tokens.c.session_id.in_(own)))
        living = and_(sessions.c.user_id == self.user_id, sessions.c.revoked_at.is_(None))
        connection.execute(
            update(sessions).where(living).values(revoked_at=now_ms, revoked_why="erased")
        )
        return connection.execute(
            update(sessions)
            .where(sessions.c.user_id == self.user_id)
            .values(address="", user_agent="")
        ).rowcount

    def _payments(self, connection: Connection) -> dict[str, int]:
        changed: dict[Table, dict[str, Any]] = {
            payments: {
                "description": None,
                "metadata": {},
                "return_url": None,
                "next_action": null(),
                "failure_message": None,
            },
            refunds: {"reason": None, "failure": None},
            disputes: {"reason": None},
            payment_methods: {
                "state": "detached",
                "is_default": False,
                "brand": None,
                "last4": None,
                "exp_month": None,
                "exp_year": None,
                # Unique, and a person's card at the processor.
                "reference": "erased:" + payment_methods.c.id,
            },
        }
        touched = {
            table.name: connection.execute(
                update(table).where(self._of(table)).values(values)
            ).rowcount
            for table, values in changed.items()
        }
        touched["payment_events"] = self._scrub(connection, payment_events, "data", {})
        # The client chose the key's words; it is told apart by its id.
        renamed = {"key": idempotency_keys.c.id}
        touched["idempotency_keys"] = self._scrub(connection, idempotency_keys, "body", renamed)
        return touched

    def _scrub(
        self, connection: Connection, table: Table, column: str, more: Mapping[str, Any]
    ) -> int:
        rows = connection.execute(
            select(table.c.id, table.c[column]).where(table.c.user_id == self.user_id)
        ).all()
        for row_id, data in rows:
            values = {column: null() if data is None else scrubbed(data, _EMPTY), **more}
            connection.execute(update(table).where(table.c.id == row_id).values(values))
        return len(rows)

    def _receivers(self, connection: Connection, now_ms: int) -> int:
        own = select(webhook_endpoints.c.id).where(webhook_endpoints.c.user_id == self.user_id)
        told = select(deliveries.c.id).where(deliveries.c.endpoint_id.in_(own))
        connection.execute(
            update(delivery_attempts)
            .where(delivery_attempts.c.delivery_id.in_(told))
            .values(answer="", error=None)
        )
        connection.execute(
            update(deliveries)
            .where(deliveries.c.endpoint_id.in_(own), deliveries.c.state == "waiting")
            .values(state="given_up", next_at=None)
        )
        count = connection.execute(
            update(deliveries).where(deliveries.c.endpoint_id.in_(own)).values(last_error=None)
        ).rowcount
        connection.execute(
            update(webhook_endpoints)
            .where(webhook_endpoints.c.user_id == self.user_id)
            .values(
                state="deleted",
                url="",
                secret="",
                secret_previous=None,
                kind=None,
                due_at=None,
                updated_at=now_ms,
            )
        )
        return count
