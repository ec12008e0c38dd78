"""The bugs that the simulator must find: a payments service loses money by each of them.

Each is a line of a table: its name, what is lost, the function it is planted in, and which text
of it reads otherwise.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants_cards import CARD_MUTANTS
from tests.simulation.planting import Mutant
from tidegate.adapters.lenco import reading
from tidegate.api import node
from tidegate.db import committer
from tidegate.ledger import book
from tidegate.payouts import (
    accept,
    answer,
    conclude,
    confirm,
    disburse,
    endings,
    postings,
    report,
    sending,
    store,
)
from tidegate.work import claim

__all__ = ["MUTANTS"]

_TRANSFERS: Final = (
    Mutant(
        "called_before_it_is_written",
        "The bank is called first: who dies before the commit pays again under another reference.",
        disburse.Disburse._disburse,
        "    await self._committer.commit(journal.unit)\n",
        """    ours = attempt["reference"].encode()
    attempt["reference"] = self._randomness.new_id("ref")
    attempt["body"] = attempt["body"].replace(ours, attempt["reference"].encode())
    await self._bank.submit(attempt["reference"], attempt["body"])
    await self._committer.commit(journal.unit)
""",
    ),
    Mutant(
        "sent_again_under_a_new_reference",
        "A transfer whose answer was lost is sent again, and the bank cannot tell that it is one.",
        sending.Sender._outcome,
        "        case OutcomeKind.UNKNOWN:\n"
        "            journal.attempt("
        "attempt, AttemptEvent.UNCLEAR, lease=lease, next=soon, **ended)\n",
        """        case OutcomeKind.UNKNOWN:
            again = Next(f"send:{self._bank.name}")
            new = {
                "reference": attempt["reference"] + "-b",
                "body": bytes(attempt["body"]).replace(
                    attempt["reference"].encode(), attempt["reference"].encode() + b"-b"
                ),
            }
            journal.attempt(attempt, AttemptEvent.UNCLEAR, lease=lease, next=again, **new)
""",
    ),
    Mutant(
        "no_answer_is_a_refusal",
        "A transfer whose answer was lost counts as refused: the order is given back, and paid.",
        reading.read_submit,
        "return replace(outcome, kind=kind, reason_text=said.failure.why)",
        "return replace(outcome, kind=OutcomeKind.REJECTED, reason_text=said.failure.why)",
    ),
    Mutant(
        "pending_is_paid",
        "A transfer that the bank has taken counts as paid; it may still fail.",
        confirm.event_of,
        "return AttemptEvent.TAKEN, None",
        "return AttemptEvent.PAID, None",
    ),
    Mutant(
        "amount_not_compared",
        "Another amount than was sent is believed, and nobody looks.",
        confirm.event_of,
        "if wrong is not None:",
        "if False:",
    ),
    Mutant(
        "not_found_believed_at_once",
        "The first look-up that finds nothing ends the transfer, which is on its way.",
        confirm.Confirm._decide,
        "self._not_found(journal, attempt, claimed, looked)",
        """failed = Outcome(OutcomeKind.FAILED, attempt["reference"], answer.exchange)
        await self._endings.failed(
            journal, attempt, rows, failed, AttemptEvent.FAILED, claimed.held, looked
        )""",
    ),
    Mutant(
        "ambiguous_failure_believed_at_once",
        "A failure that may still turn into success is reported, and then the bank pays.",
        confirm.event_of,
        "return AttemptEvent.FAILED_AMBIGUOUSLY, None",
        "return AttemptEvent.FAILED, None",
    ),
    Mutant(
        "reversal_not_booked",
        "Money that came back stands nowhere.",
        endings.Endings.reversed,
        "        Record(entry),\n        unexplained.changed,\n",
        "",
    ),
    Mutant(
        "hold_not_released",
        "Float stays set aside for an order that is over.",
        conclude.end_unpaid,
        "        journal.add(Record(entry))\n    # A cancel",
        "        pass\n    # A cancel",
    ),
    Mutant(
        "hold_not_released_when_not_ours",
        "Float stays set aside for an order that somebody else got.",
        accept.Accept._end_unpaid,
        "journal.add(Record(entry))",
        "pass",
    ),
    Mutant(
        "hold_released_twice",
        "Float of other orders is promised again.",
        postings.rehold,
        'entries.append(released(before, payout["id"], number, held))',
        """entries.append(released(before, payout["id"], number, held))
        entries.append(released(before, payout["id"], -number, held))""",
    ),
    Mutant(
        "float_below_zero",
        "More is promised than there is.",
        book._account_values,
        '"floor": kind.floor',
        '"floor": False',
    ),
)

_ORDERS: Final = (
    Mutant(
        "accepted_after_expiry",
        "An offer whose time is over is accepted.",
        accept.Accept._left_ms,
        'return int(row["expires_at"]) - self._rules.accept_margin_ms - self._clock.now_ms()',
        "return 3_600_000",
    ),
    Mutant(
        "accepted_because_unknown",
        "An order is paid whose accept was not answered: it may be another's.",
        accept.Accept._ask,
        "case Said.DONE:",
        "case Said.DONE | Said.UNKNOWN:",
    ),
    Mutant(
        "paid_order_answered_400",
        "The aggregator takes a 400 for an order that is not ours, and gives a paid one away.",
        node.tx_status,
        "standing = await d.tell_status(query.order_id)",
        """standing = await d.tell_status(query.order_id)
        if standing is not None and standing.status is TxStatus.SUCCESS:
            return json_response(envelope("error", "This order is closed.", None), 400)""",
    ),
    Mutant(
        "pending_told_as_success",
        "The aggregator settles what may still fail.",
        answer.standing_of,
        "return Standing(TxStatus.PENDING, psp, tx_id)",
        "return Standing(TxStatus.SUCCESS, psp, tx_id)",
    ),
    Mutant(
        "unknown_told_as_failed",
        "The aggregator gives away what may have been paid.",
        answer.standing_of,
        "return Standing(TxStatus.PENDING, psp, tx_id)",
        'return Standing(TxStatus.FAILED, psp, tx_id, "unknown")',
    ),
    Mutant(
        "cancelled_after_it_was_sent",
        "A cancel, which has no guard, for an order of which something was reported.",
        conclude.end_unpaid,
        'unsent = payout["told_pending_at"] is None and all(',
        "unsent = True or all(",
    ),
    Mutant(
        "success_told_again",
        "A success that the aggregator has is told again: it may settle twice.",
        report.Report._paid,
        "if status in _HAS_SUCCESS:",
        "if status in ():",
    ),
    Mutant(
        "not_asked_before_it_is_told_again",
        "A report whose answer was lost is repeated blindly.",
        report.Report._paid,
        "if claimed.tries > 1 or told or self._may_have_been_polled(row) or self._is_late(row):",
        "if told:",
    ),
    Mutant(
        "new_transaction_id_per_report",
        "The aggregator takes one payout for two.",
        report.Report._fulfil,
        'tx_id=row["tx_id"],',
        'tx_id=f"{row["tx_id"]}-{validation}",'.replace('"tx_id"', "'tx_id'"),
    ),
    Mutant(
        "told_before_it_is_paid",
        "A payout counts as told without anybody having told it.",
        store.Journal.move,
        "state = after(before, event)",
        "state = State.FULFILLED if event == Event.PAID else after(before, event)",
    ),
)

_MACHINERY: Final = (
    Mutant(
        "state_outside_the_table",
        "An order whose transfer nobody understands counts as declined, and is offered to others.",
        store.Journal.move,
        "state = after(before, event)",
        "state = State.DECLINED if event == Event.HELD else after(before, event)",
    ),
    Mutant(
        "account_in_the_log",
        "Whoever reads the log reads account numbers.",
        node._receive,
        "d.app.metrics.offers_received.labels(offer.dialect.value).inc()",
        'log.info("offer_received", to=offer.recipient and offer.recipient.account_identifier)',
    ),
    Mutant(
        "refused_unit_half_written",
        "Of what was refused, a part is written all the same.",
        committer._write_group,
        "batches[kind].rewind(mark)",
        "pass",
    ),
    Mutant(
        "lease_ignored",
        "Two verbs work at the same row.",
        claim._statement,
        'or_(table.c.leased_until.is_(None), table.c.leased_until <= bindparam("_now")),',
        "",
        claim._statements,
    ),
    Mutant(
        "leases_of_the_dead_stay",
        "What a killed node was doing is never gone on with.",
        claim.end_leases,
        ".values(leased_until=None, due_at=due_at)",
        ".values(leased_until=table.c.leased_until + 10**12, due_at=due_at)",
    ),
)

MUTANTS: Final = (*_TRANSFERS, *_ORDERS, *CARD_MUTANTS, *_MACHINERY)
