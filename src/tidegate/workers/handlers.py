"""One table: kind of row -> verb. Adding a kind of work is one line here."""

from __future__ import annotations

from tidegate.bootstrap import Application
from tidegate.db.inbox import inbox
from tidegate.payments import agenda, dispute, refund_outcome
from tidegate.payments.announce import DELIVER
from tidegate.payments.make import MoneyIn
from tidegate.payments.notify import LONGEST_TURN_S
from tidegate.payments.tables import disputes, payments, refunds, webhook_endpoints
from tidegate.payouts.accept import Accept
from tidegate.payouts.adopt import ADOPT, Adopt
from tidegate.payouts.answer import CheckOwnership
from tidegate.payouts.confirm import Confirm
from tidegate.payouts.disburse import Disburse
from tidegate.payouts.endings import Endings
from tidegate.payouts.offer import Receive
from tidegate.payouts.ownership import Ownership
from tidegate.payouts.prompts import ReadWebhook
from tidegate.payouts.push import PushBalance
from tidegate.payouts.report import Report
from tidegate.payouts.resend import Send
from tidegate.payouts.sending import Sender
from tidegate.payouts.tables import attempts, payouts
from tidegate.work.pace import Pace
from tidegate.work.runner import Kind
from tidegate.work.tables import periodic
from tidegate.workers.periodic import Periodic

__all__ = ["kinds_of", "push_balance"]

_FULFIL_S = 60.0
_ASK_S = 30.0


def push_balance(app: Application) -> PushBalance:
    """The verb of the push rows."""
    gap_ms = round(app.settings.intervals.balance_push_gap * 1000)
    return PushBalance(
        app.database, app.committer, app.clock, app.randomness, app.aggregator, periodic, gap_ms
    )


def kinds_of(app: Application, chores: Periodic) -> list[Kind]:
    """Every kind of work of this process."""
    work = app.settings.work
    one = (app.committer, app.clock, app.randomness)
    two = (app.database, *one)
    accept = Accept(*two, app.rules, app.facts, app.aggregator)
    ownership = Ownership(app.clock, app.aggregator)
    report = Report(*two, app.aggregator)
    receive = Receive(*two, app.rules, app.facts)
    check_ownership = CheckOwnership(*one, app.aggregator)
    push = push_balance(app)
    kinds = [
        Kind(payouts, "accept", accept, work.accept_concurrency),
        Kind(payouts, "report", report, work.report_concurrency, _FULFIL_S),
        Kind(payouts, "ownership", check_ownership, work.periodic_concurrency),
        Kind(payouts, "reoffer", receive.take_up, work.periodic_concurrency),
        Kind(periodic, "push", push, len(app.rules.currencies), looks=True),
        Kind(payouts, ADOPT, Adopt(*two, app.rules), work.periodic_concurrency, looks=True),
    ]
    for name, bank in app.banks.items():
        able = bank.capabilities()
        pace = Pace(app.clock, float(work.lookup_rate.get(name) or 200))
        sender = Sender(*two, app.rules, app.facts, app.circuits, bank)
        disburse = Disburse(*two, app.rules, app.facts, ownership, sender, bank)
        send = Send(*two, app.rules, app.facts, ownership, sender)
        endings = Endings(app.clock, app.rules, app.facts, app.circuits, app.float_)
        confirm = Confirm(*two, app.rules, app.circuits, app.float_, endings, pace, bank)
        read = ReadWebhook(*two, app.float_, bank)
        in_flight = work.psp_concurrency
        disbursing = min(in_flight, work.disburse_concurrency)
        kinds += [
            # Whose the order is, the name enquiry and the transfer may come in one turn.
            Kind(
                payouts,
                f"disburse:{name}",
                disburse,
                disbursing,
                able.submit_timeout_s + able.lookup_timeout_s + _ASK_S,
            ),
            Kind(attempts, f"send:{name}", send, in_flight, able.submit_timeout_s + _ASK_S),
            # A look-up may be tried three times, and a cooled failure reads the balance as well.
            Kind(
                attempts,
                f"confirm:{name}",
                confirm,
                work.confirm_concurrency,
                4 * able.lookup_timeout_s,
                looks=True,
            ),
            Kind(inbox, f"read:{name}", read, in_flight, 3 * able.lookup_timeout_s, looks=True),
        ]
    kinds.append(
        Kind(
            webhook_endpoints,
            DELIVER,
            app.telling.notify,
            work.delivery_concurrency,
            LONGEST_TURN_S,
        )
    )
    if app.money_in is not None:
        kinds += _kinds_of_payments(app.money_in, work.payment_concurrency)
    kinds += [
        Kind(periodic, chore.kind, chores.verb(chore), 1, chore.longest_s, looks=chore.looks)
        for chore in chores.table
    ]
    return kinds


def _kinds_of_payments(money_in: MoneyIn, slots: int) -> list[Kind]:
    # A payment may need its customer, its object, a list of objects and its charge in one turn.
    longest_s = 5 * money_in.cards.timeout_s
    return [
        Kind(payments, agenda.KIND, money_in.pursue, slots, longest_s),
        Kind(refunds, refund_outcome.KIND, money_in.pursue_refund, slots, longest_s),
        Kind(disputes, dispute.KIND, money_in.pursue_dispute, slots, longest_s, looks=True),
        Kind(inbox, f"read:{money_in.cards.name}", money_in.read, slots, longest_s, looks=True),
    ]
