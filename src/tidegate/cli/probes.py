"""What ``doctor`` asks the other companies. Questions only; a balance is pushed when asked to."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from tidegate.adapters.http import Answer, HttpClient
from tidegate.adapters.institutions import load_institutions, psp_codes, verify
from tidegate.bootstrap import Application
from tidegate.cli.checks import Check, Verdict
from tidegate.cli.output import age, amount, duration
from tidegate.db.exchanges import Exchange
from tidegate.money.amount import Money, major
from tidegate.money.currency import parse_currency
from tidegate.payouts.facts import read_float
from tidegate.payouts.push import push_id, totals
from tidegate.ports.aggregator import Listed, Said, SayAnswer
from tidegate.ports.bank import Bank, Unavailable
from tidegate.settings import Settings
from tidegate.wire.address import provider_url
from tidegate.wire.signature import FRESH_S, authorization, query_message

__all__ = ["probe_aggregator", "probe_balance_form", "probe_psps"]

_PROBE_S: Final = 15.0
_CLOCK_WARN_S: Final = 30
_OTHER = {"spec": "live", "live": "spec"}
# A Date header has whole seconds, and stands still while the answer travels.
_DATE_GRAIN_S: Final = 1


async def probe_aggregator(app: Application, *, served: bool) -> list[Check]:
    """Its clock, our signature, and whether it reaches us. ``served``: the node runs now."""
    clock = await _clock(app)
    if clock.verdict is Verdict.FAIL and clock.name == "aggregator":
        return [clock]
    return [clock, await _signature(app), await _round_trip(app, served)]


async def _clock(app: Application) -> Check:
    """Compare with the Date header of a signed question, halfway through the call."""
    group = app.settings.aggregator
    http = HttpClient(app.clock, app.randomness, aiohttp.TCPConnector, "aggregator")
    currency = app.settings.payouts.currencies[0]
    began_ms = app.clock.now_ms()
    query = urlencode(
        {"currency": currency, "page": "1", "pageSize": "1", "timestamp": str(began_ms // 1000)}
    )
    try:
        answer = await http.request(
            "GET",
            f"{provider_url(group.base_url, 'v1', 'orders')}?{query}",
            headers={
                "Authorization": authorization(
                    group.client_id, group.secrets[0], query_message(query)
                )
            },
            body=None,
            timeout_s=_PROBE_S,
        )
    finally:
        await http.close()
    if not isinstance(answer, Answer):
        return Check(
            "aggregator",
            Verdict.FAIL,
            f"{group.base_url} does not answer ({answer.why}).",
            "Check AGGREGATOR_BASE_URL, the network between, and whether it is up.",
        )
    return _judge_clock(answer.headers.get("Date"), (began_ms + app.clock.now_ms()) // 2)


def _judge_clock(date: str | None, ours_ms: int) -> Check:
    name = "aggregator clock"
    try:
        theirs_s = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Check(
            name,
            Verdict.WARN,
            "It sends no Date header, so its clock is not known.",
            f"See that ours follows a time server: it refuses what is {FRESH_S} s off.",
        )
    ahead_s = ours_ms / 1000 - theirs_s
    if -_DATE_GRAIN_S <= ahead_s <= 2 * _DATE_GRAIN_S:
        return Check(name, Verdict.OK, "Ours and the aggregator's agree.")
    side = "ahead of" if ahead_s > 0 else "behind"
    detail = f"Ours is {duration(round(abs(ahead_s) * 1000))} {side} the aggregator's."
    if abs(ahead_s) >= FRESH_S - _CLOCK_WARN_S:
        next_ = f"Set the clock by a time server (NTP): what is {FRESH_S} s off is refused."
        return Check(name, Verdict.FAIL, detail, next_)
    if abs(ahead_s) >= _CLOCK_WARN_S:
        return Check(name, Verdict.WARN, detail, "See that our clock follows a time server.")
    return Check(name, Verdict.OK, detail)


async def _signature(app: Application) -> Check:
    """Does it take a signed question as ours?"""
    name = "aggregator signature"
    currency = app.settings.payouts.currencies[0]
    query = await app.aggregator.orders(currency, "fulfilling")
    if query.listed is Listed.FOUND:
        count = len(query.orders)
        return Check(name, Verdict.OK, f"It lists our orders; {count} are being fulfilled.")
    last = query.exchanges[-1]
    if last.status in (401, 403):
        next_ = (
            "Check AGGREGATOR_CLIENT_ID and AGGREGATOR_SECRET_KEY (used as text, exactly as "
            "given); `tidegate hmac explain` shows what was signed."
        )
        return Check(name, Verdict.FAIL, f"It refuses us: {_words(last)}.", next_)
    if last.status == 404:
        next_ = "Write AGGREGATOR_BASE_URL as its origin, or with /v1/provider or /v2/provider."
        return Check(name, Verdict.FAIL, f"There is no such address: {_words(last)}.", next_)
    return Check(
        name, Verdict.FAIL, f"It does not list orders: {_words(last)}.", "Ask its operator."
    )


async def _round_trip(app: Application, served: bool) -> Check:
    """Let it read our ``/info``."""
    name = "aggregator reaches us"
    answer = await app.aggregator.node_info()
    if answer.said is Said.DONE:
        return Check(name, Verdict.OK, "It has just read our /info.")
    detail = f"It could not read our /info: {answer.message or answer.said.value}."
    if not served:
        return Check(name, Verdict.WARN, detail, "Start the node (`tidegate serve`), then again.")
    next_ = (
        "Check the address it has of this node (PUBLIC_URL), the way from there to here, and "
        "that CURRENCIES names every currency it has a balance of ours for."
    )
    return Check(name, Verdict.FAIL, detail, next_)


async def probe_balance_form(
    app: Application, chores: Mapping[str, Mapping[str, Any]], *, push: bool
) -> list[Check]:
    """Does it take balances in the form of ``AGGREGATOR_DIALECT``?

    A figure of ours must not overtake the one that a serving process sends, so the record of its
    last push answers; only with ``push`` the current figure is sent from here.
    """
    checks = []
    for currency in app.settings.payouts.currencies:
        row = chores.get(push_id(currency), {})
        result = row.get("result") or {}
        if push:
            answer = await _push(app, currency)
            checks.append(_judge_push(app.settings, currency, answer.said.value, "just now"))
        elif result:
            when = age(row.get("last_done_at"), app.clock.now_ms())
            checks.append(_judge_push(app.settings, currency, str(result.get("said")), when))
        else:
            checks.append(
                Check(
                    f"balances {currency}",
                    Verdict.WARN,
                    "No balance was ever reported, so the form is not proven.",
                    "Run `tidegate serve`, or `tidegate doctor --push-balances`.",
                )
            )
    return checks


async def _push(app: Application, currency: str) -> SayAnswer:
    sums = totals(await app.database.read(read_float), currency)
    unit = parse_currency(currency)
    return await app.aggregator.push_balance(
        currency,
        available=major(Money(sums.available, unit)),
        total=major(Money(sums.total, unit)),
        reserved=major(Money(sums.reserved, unit)),
    )


def _judge_push(settings: Settings, currency: str, said: str, when: str) -> Check:
    name, form = f"balances {currency}", settings.aggregator.dialect
    if said == Said.DONE:
        return Check(name, Verdict.OK, f"The {form} form was taken {when}.")
    if said in (Said.NOT_SENT, Said.UNKNOWN):
        next_ = "It is sent again by itself; look once more in a minute."
        return Check(name, Verdict.WARN, f"The last report ({when}) was not answered.", next_)
    next_ = f"Set AGGREGATOR_DIALECT={_OTHER[form]}, if that is what it speaks."
    return Check(name, Verdict.FAIL, f"It refused the {form} form {when} ({said}).", next_)


async def probe_psps(app: Application) -> list[Check]:
    """Each PSP: is the balance readable, and which institutions does its bank list confirm?"""
    checks = []
    for bank in app.banks.values():
        served = sorted(app.rules.currencies & bank.capabilities().currencies)
        if not served:
            checks.append(
                Check(
                    f"psp {bank.name}",
                    Verdict.WARN,
                    "It pays none of the currencies of this node.",
                    "Correct CURRENCIES, or leave it out of PAYOUTS_PSPS.",
                )
            )
        for currency in served:
            balance = await _balance(bank, currency)
            checks.append(balance)
            if balance.verdict is Verdict.OK:
                checks.append(await _banks(bank, currency))
    uncovered = app.rules.currencies - {
        currency for bank in app.banks.values() for currency in bank.capabilities().currencies
    }
    if uncovered:
        checks.append(
            Check(
                "currencies",
                Verdict.FAIL,
                f"No PSP of this node pays {', '.join(sorted(uncovered))}.",
                "Take it out of CURRENCIES, or add a PSP that pays it.",
            )
        )
    return checks


async def _balance(bank: Bank, currency: str) -> Check:
    name = f"psp {bank.name} {currency}"
    answer = await bank.balance(currency)
    if isinstance(answer, Unavailable):
        why = _words(answer.exchange)
        if answer.misconfigured:
            next_ = f"Check the credentials of {bank.name} (token, account, allowed addresses)."
            return Check(name, Verdict.FAIL, f"It refuses us: {why}.", next_)
        next_ = f"Check the address and account of {bank.name}, and whether it is up."
        return Check(name, Verdict.FAIL, f"The balance cannot be read: {why}.", next_)
    shown = f"{amount(answer.available.minor, currency)} {currency}"
    return Check(name, Verdict.OK, f"Its balance is readable: {shown} available.")


async def _banks(bank: Bank, currency: str) -> Check:
    name = f"psp {bank.name} banks"
    listed = await bank.banks(currency)
    if isinstance(listed, Unavailable):
        next_ = "The last verified list stays in force; without one nothing can be paid."
        return Check(name, Verdict.WARN, f"No bank list: {_words(listed.exchange)}.", next_)
    known = load_institutions()
    verified = verify(psp_codes(known, bank.name, currency), listed)
    all_of_it = [code for code, one in known.items() if one.currency == currency]
    unsupported = sorted(set(all_of_it) - set(verified.supported))
    detail = f"{len(verified.supported)} institutions are reached, {len(unsupported)} are not"
    if not verified.supported:
        next_ = f"Ask {bank.name} for its list: nothing can be paid."
        return Check(name, Verdict.FAIL, f"{detail}.", next_)
    gone = sorted({*verified.missing, *verified.names_that_differ})
    if gone:
        next_ = f"Ask {bank.name} about them: orders for these are declined."
        return Check(name, Verdict.WARN, f"{detail}; its list lacks {', '.join(gone)}.", next_)
    return Check(name, Verdict.OK, f"{detail}.")


def _words(exchange: Exchange) -> str:
    """How a call ended, shortly."""
    if exchange.status is None:
        return exchange.response or str(exchange.error)
    return f"HTTP {exchange.status} {exchange.response[:160]}".strip()
