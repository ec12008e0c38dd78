"""Capturing what was authorised, and giving a payment up: two steps of a payment that is there.

Each commits its intention together with the idempotency key and the row's lease, then makes the
one call, under the same rules as every step (:mod:`tidegate.payments.pursue`).
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import NoReturn

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.db.rows import DONE, Next
from tidegate.errors import (
    AlreadyExists,
    AmountNotAllowed,
    NotFound,
    NotInTable,
    Stale,
    StillRunning,
    TidegateError,
    WrongState,
)
from tidegate.observability.subjects import about
from tidegate.payments.agenda import KIND
from tidegate.payments.answers import Answer, answer_of
from tidegate.payments.keys import Asked, refuse, standing
from tidegate.payments.lease import Leases
from tidegate.payments.pursue import Pursue
from tidegate.payments.sends import first_send
from tidegate.payments.states import Event, State, public_status
from tidegate.payments.store import Journal, Row, payment_of_user
from tidegate.payments.tables import payments
from tidegate.payments.view import payment_view
from tidegate.work.claim import Claimed

__all__ = ["CancelPayment", "Capture"]

# Somebody else (a look-up, another refund) may change the row between reading and committing.
_TRIES = 20
_PAUSE_S = 0.05


class _Step:
    """What capturing and cancelling have in common."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        pursue: Pursue,
        leases: Leases,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._pursue = pursue
        self._leases = leases

    async def _payment(self, user_id: str, payment_id: str) -> Row:
        row = await self._database.fetch(lambda c: payment_of_user(c, user_id, payment_id))
        if row is None:
            raise NotFound("There is no such payment.")
        about(payment_id=row["id"])
        return row

    async def _known(self, asked: Asked | None) -> Answer | None:
        """The answer under this key, if there was such a request."""
        known = None if asked is None else await standing(self._database, asked)
        if known is None or isinstance(known, Answer):
            return known
        payment = await self._payment(known["user_id"], known["subject"])
        if await self._leases.is_leased(payment):
            raise StillRunning()
        if State(payment["state"]) not in {State.CAPTURING, State.CANCELING}:
            return Answer(202, None, payment_view(payment), replayed=True)
        try:  # nobody is at it: this request goes on where the last one stopped
            claimed = await self._leases.take(payments, KIND, payment, events=payment["events"])
        except Stale:
            raise StillRunning() from None
        ended = await self._finish(asked, claimed, self._pursue.go_on(claimed))
        if isinstance(ended, Answer):
            return replace(ended, replayed=True)
        return Answer(202, None, payment_view(ended), replayed=True)

    async def _refuse(self, asked: Asked | None, payment: Row, error: TidegateError) -> NoReturn:
        if asked is None:
            raise error
        await refuse(self._committer, asked, payment["id"], self._clock.now_ms(), error)

    async def _begin(
        self, asked: Asked | None, payment: Row, event: Event, **values: int
    ) -> Claimed:
        """Commit the intention under the row's lease. Raises ``Stale`` and ``AlreadyExists``."""
        journal = Journal(payment, self._clock, self._randomness)
        now_ms = self._clock.now_ms()
        sending = first_send(now_ms)
        journal.move(event, asked_by=asked.id if asked else None, **sending, **values)
        if asked is not None:
            journal.add(asked.taken_for(payment["id"], now_ms))
        ends_at = self._leases.ends_at()
        unit = journal.unit(fence=payment["fence"], next=Next(KIND), take_ms=self._leases.lease_ms)
        held, *_ = await self._committer.commit(unit)
        return self._leases.claimed(payments, journal.row, held, ends_at)

    async def _finish(
        self, asked: Asked | None, claimed: Claimed, step: Awaitable[Row]
    ) -> Answer | Row:
        """Take the step; the stored answer, or the row when nothing is known yet."""
        try:
            async with self._leases.under(claimed):
                row = await step
        except Stale:  # the lease ran out, and somebody else went on
            row = await self._payment(claimed.row["user_id"], claimed.id)
        if asked is not None:
            stored = await standing(self._database, asked)
            if isinstance(stored, Answer):
                return Answer(stored.status, stored.code, stored.body)
        return row


class Capture(_Step):
    """``POST /api/payments/{id}/capture``."""

    async def __call__(self, asked: Asked, payment_id: str, amount: int | None) -> Answer:
        """Take ``amount`` minor units of what was authorised (``None``: all); the rest is let go.

        Raises ``NotFound``, ``WrongState``, ``AmountNotAllowed``, ``StillRunning``,
        ``IdempotencyKeyReused``.
        """
        for _ in range(_TRIES):
            known = await self._known(asked)
            if known is not None:
                return known
            payment = await self._payment(asked.user_id, payment_id)
            state = State(payment["state"])
            if state is State.CAPTURING:
                raise StillRunning()
            wanted = payment["amount"] if amount is None else amount
            if state is not State.REQUIRES_CAPTURE:
                await self._refuse(
                    asked,
                    payment,
                    WrongState(
                        f"Only a payment that is requires_capture can be captured; this one is "
                        f"{public_status(state)}."
                    ),
                )
            if not 1 <= wanted <= payment["amount"]:
                bounds = f"The amount must be 1 to {payment['amount']} minor units."
                await self._refuse(asked, payment, AmountNotAllowed(bounds))
            try:
                claimed = await self._begin(
                    asked, payment, Event.CAPTURE_ASKED, amount_to_capture=wanted
                )
            except (Stale, AlreadyExists):
                await self._clock.sleep(_PAUSE_S)
                continue
            step = self._pursue.send(claimed, claimed.row)
            ended = await self._finish(asked, claimed, step)
            return ended if isinstance(ended, Answer) else Answer(202, None, payment_view(ended))
        raise StillRunning()


class CancelPayment(_Step):
    """``POST /api/payments/{id}/cancel``: no money moves, so a key may be sent but need not."""

    async def __call__(self, user_id: str, payment_id: str, asked: Asked | None = None) -> Answer:
        """Give the payment up at the processor, for certain; one that is canceled stays so.

        Raises ``NotFound``, ``WrongState``, ``StillRunning``, ``IdempotencyKeyReused``.
        """
        for _ in range(_TRIES):
            known = await self._known(asked)
            if known is not None:
                return known
            payment = await self._payment(user_id, payment_id)
            state = State(payment["state"])
            if state is State.CANCELED:
                return Answer(200, None, payment_view(payment))
            if state in {State.CAPTURING, State.CANCELING}:
                raise StillRunning()
            try:
                if state is State.CREATED:
                    return await self._withdraw(asked, payment)
                claimed = await self._begin(asked, payment, Event.CANCEL_ASKED)
            except NotInTable:
                why = f"A payment that is {public_status(state)} cannot be canceled."
                await self._refuse(asked, payment, WrongState(why))
            except (Stale, AlreadyExists):
                await self._clock.sleep(_PAUSE_S)
                continue
            step = self._pursue.send(claimed, claimed.row)
            ended = await self._finish(asked, claimed, step)
            return ended if isinstance(ended, Answer) else _told(ended)
        raise StillRunning()

    async def _withdraw(self, asked: Asked | None, payment: Row) -> Answer:
        """Nothing is at the processor that could move money: the payment ends here, and whoever
        waits for its creation is told so. Raises ``Stale`` while somebody is at it."""
        claimed = await self._leases.take(payments, KIND, payment, events=payment["events"])
        journal = Journal(payment, self._clock, self._randomness)
        journal.move(Event.CANCEL_ASKED)
        created = answer_of(State.CREATED, Event.CANCEL_ASKED, journal.row)
        assert created is not None  # it has ended
        journal.answer(created)
        answer = Answer(200, None, payment_view(journal.row))
        if asked is not None:
            journal.add(asked.taken_for(payment["id"], self._clock.now_ms(), answer))
        await self._committer.commit(journal.unit(held=claimed.held, next=DONE))
        return answer


def _told(row: Row) -> Answer:
    """The answer to a cancel without a key, which nothing stores."""
    state = State(row["state"])
    if state is State.CANCELED:
        return Answer(200, None, payment_view(row))
    if state is State.CANCELING:
        return Answer(202, None, payment_view(row))
    return Answer(409, WrongState.code, payment_view(row))
