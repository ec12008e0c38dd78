"""The bugs of the payment API that the simulator must find."""

from __future__ import annotations

from typing import Final

from tests.simulation.planting import Mutant
from tidegate.api import idempotent
from tidegate.payments import (
    deliver_store,
    dispute,
    keys,
    notify,
    outcome,
    postings,
    prompts,
    pursue,
    pursue_refund,
    refund,
    refund_outcome,
    store,
)

__all__ = ["CARD_MUTANTS"]

_CHARGES: Final = (
    Mutant(
        "key_of_another_request",
        "The same key with another body gets the first answer: the second wish is lost.",
        keys._standing,
        'if row["fingerprint"] != asked.fingerprint:',
        'if row["fingerprint"] == "":',
    ),
    Mutant(
        "second_payment_under_one_key",
        "A request that is sent again is a new payment.",
        idempotent.asked_if_given,
        "return Asked(user_id, route, key, ",
        "key += request.app.state.deps.app.randomness.new_id('wish')\n"
        "    return Asked(user_id, route, key, ",
    ),
    Mutant(
        "failed_because_unknown",
        "A charge whose answer was lost counts as failed, and the card was charged.",
        pursue.Pursue._ended,
        "case Unknown() if not looked and came_back(row, ended):\n"
        "            journal.set(spent=True)",
        "case Unknown() if not looked:\n"
        '            refused(journal, "timeout", "The processor did not answer.")',
    ),
    Mutant(
        "captured_in_full",
        "More is taken than was asked for.",
        pursue.Pursue._call,
        'row["amount_to_capture"]',
        'row["amount"]',
    ),
    Mutant(
        "capture_booked_at_each_look",
        "A charge stands in the books as often as it is looked at.",
        outcome._captured,
        """if more:
        journal.add(
            Record(
                captured(
                    processor, row["user_id"], row["id"], currency, more, intent.captured.minor
                )""",
        """if True:
        more, total = intent.captured.minor, intent.captured.minor + row["events"] + row["lookups"]
        journal.add(
            Record(
                captured(
                    processor, row["user_id"], row["id"], currency, more, total
                )""",
    ),
    Mutant(
        "failed_object_left_open",
        "A client that was told of a failure can still pay.",
        outcome.must_close,
        "return after is State.FAILED and before not in {State.CREATED, State.FAILED}",
        "return False",
    ),
    Mutant(
        "stored_failure_asked_for_again",
        "A failure that the processor keeps under a key is all that closing ever hears.",
        pursue.Pursue._close,
        """journal.set(step=row["step"] + 1)""",
        "pass",
    ),
    Mutant(
        "fee_booked_twice",
        "The processor's balance is less in our books than it is.",
        postings.moved,
        "moves = [_signed(fees, balance, movement.fee.minor)]",
        "moves = [_signed(fees, balance, movement.fee.minor * 2)]",
    ),
)

_RETURNS: Final = (
    Mutant(
        "refund_room_not_checked",
        "More is asked back than was taken.",
        refund._refundable,
        "if not 1 <= wanted <= left:",
        "if wanted < 1:",
    ),
    Mutant(
        "refund_asked_again_under_a_new_key",
        "A refund whose answer was lost is made a second time.",
        pursue_refund.PursueRefund.send,
        "return await self._ended(claimed, row, ended)",
        """if isinstance(ended, Unknown):
        ended = await self._cards.refund(
            payment["processor_reference"],
            Money(row["amount"], parse_currency(row["currency"])),
            row["id"],
            row["reason"],
            f"tidegate:{row['payment_id']}:{row['id']}:again",
        )
    return await self._ended(claimed, row, ended)""",
    ),
    Mutant(
        "refund_not_released",
        "What was set aside for a refund that failed can never be given back.",
        refund_outcome._settle,
        'journal.set(amount_refunding=payment["amount_refunding"] - amount)',
        "pass",
    ),
    Mutant(
        "refund_made_elsewhere_overlooked",
        "Money that was given back at the processor's page stands as taken.",
        prompts.ReadEvent.__call__,
        "adopted = await self._adopt(event)",
        "adopted = None",
    ),
    Mutant(
        "event_kept_and_not_acted_on",
        "The processor is told that its news have arrived, and nobody reads them.",
        prompts.KeepEvent.__call__,
        "unit = Unit([Insert(inbox, read), *prompt.operations])",
        "unit = Unit([Insert(inbox, read)])",
    ),
    Mutant(
        "events_not_listed",
        "What the processor could not deliver is never heard of.",
        prompts.SweepEvents.__call__,
        "for _ in range(_PAGES_MAX):",
        "for _ in range(0):",
    ),
    Mutant(
        "dispute_booked_twice",
        "Twice of what the dispute took is missing in our books.",
        dispute.PursueDispute._book,
        "postings.dispute_moved(processor, dispute_id, currency, amount, movement)",
        "postings.dispute_moved(processor, dispute_id, currency, amount * 2, movement)",
    ),
)

_NEWS: Final = (
    Mutant(
        "event_number_skipped",
        "A client waits for an event that never was.",
        store.Journal.announce,
        'self.set(events=self.row["events"] + 1)',
        'self.set(events=self.row["events"] + 2)',
    ),
    Mutant(
        "delivered_because_sent",
        "An event that the client's server refused is never sent again.",
        notify.Notify._send,
        "if told.delivered:",
        "if told:",
    ),
    Mutant(
        "events_out_of_order",
        "A client hears of the refund before it hears of the payment.",
        deliver_store.heads,
        "return _rows(connection, _heads, ",
        "newest_first = _with_events.where(_waiting).order_by(_d.c.event_id.desc())\n"
        '    return _rows(connection, newest_first.limit(bindparam("limit")), ',
    ),
)

CARD_MUTANTS: Final = (*_CHARGES, *_RETURNS, *_NEWS)
