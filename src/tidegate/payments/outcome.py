"""What the processor's object means for a payment: events, entries, cases. Pure but for the clock.

Everything that is learnt of a payment ends here, whether it was answered, looked up or prompted
by a webhook, so the order in which news arrive makes no difference.
"""

from __future__ import annotations

from tidegate.cases.store import OpenCase
from tidegate.ledger.book import Record
from tidegate.payments.answers import answer_of
from tidegate.payments.postings import captured, is_silent, moved
from tidegate.payments.states import Event, State
from tidegate.payments.store import Journal
from tidegate.ports.cards import Failure, Intent, IntentStatus, Refused

__all__ = ["declined", "event_of", "key_refused", "learn", "must_close", "refused"]


def learn(journal: Journal, intent: Intent) -> Event | None:
    """Apply the processor's object as it stands now; ``None`` when it does not fit the payment."""
    before = journal.state
    wrong = _mismatch(journal, intent)
    if wrong is not None:
        _case(journal, "payment_mismatch", wrong)
        return None
    event = event_of(intent)
    match event:
        case Event.DECLINED:
            assert intent.failure is not None  # event_of
            declined(journal, intent.failure)
            return event
        case Event.CAPTURED:
            _captured(journal, before, intent)
        case Event.ACTION_NEEDED if before is not State.FAILED:
            journal.move(event, next_action=dict(intent.next_action or {}))
        case Event.TAKEN | Event.AUTHORIZED | Event.CANCELED:
            journal.move(event, next_action=None)
        case _:
            journal.move(event)
    _answer(journal, before, event)
    return event


def event_of(intent: Intent) -> Event:
    """What the object's status says."""
    match intent.status:
        case IntentStatus.SUCCEEDED:
            return Event.CAPTURED
        case IntentStatus.REQUIRES_CAPTURE:
            return Event.AUTHORIZED
        case IntentStatus.REQUIRES_ACTION:
            return Event.ACTION_NEEDED
        case IntentStatus.PROCESSING:
            return Event.TAKEN
        case IntentStatus.CANCELED:
            return Event.CANCELED
        case IntentStatus.REQUIRES_PAYMENT_METHOD if intent.failure is not None:
            return Event.DECLINED
        case IntentStatus.REQUIRES_PAYMENT_METHOD | IntentStatus.REQUIRES_CONFIRMATION:
            return Event.UNCLEAR


def declined(journal: Journal, failure: Failure) -> None:
    """The card was declined. A payment that is over by it is closed at the processor as well
    when its client could still go on there."""
    before = journal.state
    journal.move(
        Event.DECLINED,
        next_action=journal.row["next_action"] if before is State.REQUIRES_PAYMENT_METHOD else None,
        failure_code=failure.code,
        failure_message=failure.message,
        decline_code=failure.decline_code,
    )
    _answer(journal, before, Event.DECLINED)


def refused(journal: Journal, code: str, message: str) -> None:
    """The step was refused for certain: nothing happened, and its key may not be used again."""
    before = journal.state
    values = {"failure_code": code[:128], "failure_message": message, "decline_code": None}
    if before in {State.CAPTURING, State.CANCELING}:
        values = {}  # the payment lives on
    journal.move(Event.REFUSED, step=journal.row["step"] + 1, **values)
    _answer(journal, before, Event.REFUSED)


def must_close(before: State, after: State) -> bool:
    """A payment that failed after its object was there: who knows the object could still bring it
    to success, so it is cancelled at the processor as well."""
    return after is State.FAILED and before not in {State.CREATED, State.FAILED}


def key_refused(processor: str, ended: object) -> list[OpenCase]:
    """The case that a call which ended with a refusal of our key opens; else nothing."""
    if not isinstance(ended, Refused) or not ended.misconfigured:
        return []
    return [
        OpenCase(
            "processor_misconfigured",
            processor,
            "The card processor refuses our key: no payment can be taken. Check STRIPE_API_KEY "
            "and its permissions.",
            "high",
            {"code": ended.code},
        )
    ]


def _captured(journal: Journal, before: State, intent: Intent) -> None:
    row = journal.row
    more = intent.captured.minor - row["amount_captured"]
    journal.move(
        Event.CAPTURED,
        amount_captured=intent.captured.minor,
        next_action=None,
        failure_code=None,
        failure_message=None,
        decline_code=None,
    )
    processor, currency = row["processor"], row["currency"]
    if more:
        journal.add(
            Record(
                captured(
                    processor, row["user_id"], row["id"], currency, more, intent.captured.minor
                )
            )
        )
    movement = intent.movement
    if movement is not None and row["movement"] is None:
        journal.set(movement=movement.reference)
        if not is_silent(currency, movement):
            booked = moved(processor, row["id"], currency, intent.captured.minor, movement)
            journal.add(Record(booked))
    if before is State.CAPTURING and intent.captured.minor != row["amount_to_capture"]:
        _case(
            journal,
            "payment_mismatch",
            f"{row['amount_to_capture']} minor units were to be captured and the processor took "
            f"{intent.captured.minor}. It is booked as taken: refund what is too much.",
        )
    if before in {State.FAILED, State.CANCELED}:
        _case(
            journal,
            "payment_late_success",
            f"The payment was {before} here and its client was told so, and the processor took "
            "the money after all. It is booked: refund it, or tell the client.",
        )


def _mismatch(journal: Journal, intent: Intent) -> str | None:
    """The object is not that of this payment, or says things that cannot be true of it."""
    row = journal.row
    told = None
    if intent.payment_id not in {None, row["id"]}:
        told = "carries another payment's id"
    elif (intent.amount.minor, intent.amount.currency.code) != (row["amount"], row["currency"]):
        told = f"is over {intent.amount}"
    elif intent.status is IntentStatus.SUCCEEDED and not (
        0 < intent.captured.minor <= row["amount"]
        and intent.captured.minor >= row["amount_captured"]
    ):
        told = f"says {intent.captured} was taken"
    if told is None:
        return None
    return (
        f"The processor's object {intent.reference} {told}, which does not fit this payment. "
        "Nothing was changed: compare the two, then resolve the payment."
    )


def _answer(journal: Journal, before: State, event: Event) -> None:
    answer = answer_of(before, event, journal.row)
    if answer is not None:
        journal.answer(answer)


def _case(journal: Journal, kind: str, reason: str) -> None:
    journal.add(OpenCase(kind, journal.row["id"], reason, "high"))
