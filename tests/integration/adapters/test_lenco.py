"""Lenco v1: every row of its tables, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from tests.integration.adapters.bank_conformance import REFERENCE
from tests.integration.adapters.lenco_play import (
    ACCOUNT_ID,
    TOKEN,
    LencoPlay,
    bad,
    good,
    pair,
    transaction,
)
from tests.integration.adapters.raw import Hasty, Reply, Scripted, reply, scripted_server
from tidegate.adapters.http import HttpClient
from tidegate.adapters.lenco import LencoBank, tables
from tidegate.clock import Randomness
from tidegate.errors import (
    InvalidAccount,
    InvalidAmount,
    TidegateError,
    UnsupportedCurrency,
    UnsupportedInstitution,
)
from tidegate.money import Money, parse_currency
from tidegate.ports.bank import (
    BalanceReading,
    Credit,
    Fault,
    ListedBank,
    NotFound,
    NotResolvable,
    Outcome,
    OutcomeKind,
    Resolved,
    Unavailable,
)

PLAY = LencoPlay()
NGN = parse_currency("NGN")
OTHER = "tg-aaaaaaaaaaaaaaaaaaaaaa-01"


@pytest.fixture
async def lenco() -> AsyncIterator[Scripted]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def bank(lenco: Scripted) -> AsyncIterator[LencoBank]:
    clock = Hasty()
    http = HttpClient(clock, Randomness(clock, seed=1), aiohttp.TCPConnector, "lenco")
    made = PLAY.bank(lenco.origin, http, clock)
    assert isinstance(made, LencoBank)
    yield made
    await made.close()


async def submit(bank: LencoBank, lenco: Scripted, answer: Reply) -> Outcome:
    lenco.script(answer)
    return await bank.submit(REFERENCE, bank.prepare(PLAY.request))


async def lookup(bank: LencoBank, lenco: Scripted, answer: Reply) -> Outcome:
    lenco.script(answer)
    found = await bank.lookup(REFERENCE)
    assert isinstance(found, Outcome), found
    return found


# -- what is sent


async def test_the_request(bank: LencoBank, lenco: Scripted) -> None:
    """``POST /transfer`` with exactly the documented fields, all of them strings."""
    await submit(bank, lenco, PLAY.accepted())
    (heard,) = lenco.heard
    assert (heard.method, heard.path) == ("POST", "/access/v1/transfer")
    assert heard.headers["authorization"] == f"Bearer {TOKEN}"
    assert heard.headers["content-type"] == "application/json"
    assert heard.json() == {
        "accountId": ACCOUNT_ID,
        "accountNumber": "0123456789",
        "bankCode": "000014",
        "amount": "75375.00",
        "narration": "Payout tg-k3j5x7",
        "reference": REFERENCE,
    }


async def test_the_questions(bank: LencoBank, lenco: Scripted) -> None:
    """Singular paths where Lenco has them singular; nothing but GET."""
    lenco.script(good({}))
    await bank.lookup(REFERENCE)
    await bank.balance("NGN")
    await bank.banks("NGN")
    await bank.resolve("000014", "0123456789")
    await bank.credit("a/b?c")
    heard = [
        f"{h.method} {h.path.removeprefix('/access/v1')} {h.query}".strip() for h in lenco.heard
    ]
    assert heard == [
        f"GET /transfer/by-reference/{REFERENCE}",
        f"GET /account/{ACCOUNT_ID}/balance",
        "GET /banks",
        "GET /resolve accountNumber=0123456789&bankCode=000014",
        "GET /transaction/a%2Fb%3Fc",
    ]
    assert all(h.headers["authorization"] == f"Bearer {TOKEN}" for h in lenco.heard)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"amount": Money(100, parse_currency("KES"))}, UnsupportedCurrency),
        ({"amount": Money(0, NGN)}, InvalidAmount),
        ({"amount": Money(-100, NGN)}, InvalidAmount),
        ({"account_number": "012345678"}, InvalidAccount),
        ({"account_number": "0123456789\n"}, InvalidAccount),
        ({"account_number": "\u0660123456789"}, InvalidAccount),
        ({"psp_bank_code": "044"}, UnsupportedInstitution),
        ({"reference": "tg 1"}, ValueError),
        ({"reference": ""}, ValueError),
        ({"narration": " "}, ValueError),
    ],
)
def test_what_is_not_prepared(change: dict[str, object], error: type[Exception]) -> None:
    """What Lenco would refuse, or misread, is refused before it is bytes."""
    clock = Hasty()
    http = HttpClient(clock, Randomness(clock), aiohttp.TCPConnector, "lenco")
    bank = PLAY.bank("http://127.0.0.1:1", http, clock)
    with pytest.raises(error):
        bank.prepare(replace(PLAY.request, **change))  # type: ignore[arg-type]  # mixed fields


# -- the table of 3.3

ERROR_CODES = [
    ("01", OutcomeKind.REJECTED, Fault.OURS),
    ("02", OutcomeKind.REJECTED, Fault.OURS),
    ("03", OutcomeKind.REJECTED, Fault.OURS),
    ("04", OutcomeKind.DUPLICATE, None),
    ("05", OutcomeKind.REJECTED, Fault.RECIPIENT),
    ("06", OutcomeKind.REJECTED, Fault.OURS),
    ("07", OutcomeKind.UNKNOWN, None),
    ("08", OutcomeKind.UNKNOWN, None),
    ("09", OutcomeKind.REJECTED, Fault.OURS),
    ("10", OutcomeKind.UNKNOWN, Fault.PSP),
    ("11", OutcomeKind.UNKNOWN, None),
    ("12", OutcomeKind.REJECTED, Fault.RECIPIENT),
    ("13", OutcomeKind.REJECTED, Fault.OURS),
    ("21", OutcomeKind.UNKNOWN, None),
    ("99", OutcomeKind.UNKNOWN, None),
]


@pytest.mark.parametrize(("code", "kind", "fault"), ERROR_CODES)
@pytest.mark.parametrize("http", [400, 409, 422])
async def test_error_codes(
    bank: LencoBank,
    lenco: Scripted,
    code: str,
    kind: OutcomeKind,
    fault: Fault | None,
    http: int,
) -> None:
    """A documented code decides behind 400, 409 and 422."""
    outcome = await submit(bank, lenco, bad("Something", http, code))
    assert (outcome.kind, outcome.fault) == (kind, fault)


@pytest.mark.parametrize(("code", "kind", "fault"), ERROR_CODES)
@pytest.mark.parametrize("http", [200, 404, 500, 503])
async def test_error_codes_elsewhere_refuse_nothing(
    bank: LencoBank,
    lenco: Scripted,
    code: str,
    kind: OutcomeKind,
    fault: Fault | None,
    http: int,
) -> None:
    """``status:false`` with 200, 404 and 5xx never prove that no money moves."""
    outcome = await submit(bank, lenco, bad("Something", http, code))
    duplicate = code == "04" and http == 404
    assert outcome.kind is (OutcomeKind.DUPLICATE if duplicate else OutcomeKind.UNKNOWN)


@pytest.mark.parametrize(
    "answer",
    [
        bad("Duplicate client reference"),
        bad("Duplicate reference"),
        bad("duplicate client reference", 409),
        bad("Duplicate client reference", code="04"),
        bad("Duplicate client reference", code="01"),
        bad("Failed", errors={REFERENCE: {"errorCode": "04", "errorMessage": "Duplicate"}}),
        bad("Validation failed", code="01", errors={REFERENCE: {"errorCode": "04"}}),
        bad("Failed", code="02", errors={"x": {"errorCode": "05"}, REFERENCE: {"errorCode": 4}}),
        bad("Failed", code="01", errors={REFERENCE: {"errorMessage": "Duplicate reference"}}),
        bad("Failed", code="01", errors={REFERENCE: "Duplicate client reference"}),
        bad("Failed", code="01", errors=[{"errorCode": "04"}]),
        bad("The reference has already been used", 422),
        reply({"status": False, "message": "", "data": None, "errorCode": 4}, 400),
    ],
)
async def test_every_form_of_duplicate(bank: LencoBank, lenco: Scripted, answer: Reply) -> None:
    """With a code, without one, in ``errors``, or against another code: look it up."""
    outcome = await submit(bank, lenco, answer)
    assert outcome.kind is OutcomeKind.DUPLICATE
    assert outcome.reason_code == "duplicate_reference"


@pytest.mark.parametrize("http", [401, 403])
async def test_credentials_are_ours(bank: LencoBank, lenco: Scripted, http: int) -> None:
    """401 and 403 refuse, whatever their body is."""
    for answer in (bad("Unauthorized", http), Reply(http, b"<html>"), bad("x", http, "05")):
        outcome = await submit(bank, lenco, answer)
        assert (outcome.kind, outcome.fault) == (OutcomeKind.REJECTED, Fault.OURS)
        assert outcome.reason_code == "credentials"


async def test_throttled_is_looked_up_first(bank: LencoBank, lenco: Scripted) -> None:
    """A 429 is unknown, not "not sent", and tells how long to wait."""
    answer = Reply(429, b"{}", {"Retry-After": "12"})
    outcome = await submit(bank, lenco, answer)
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert (outcome.reason_code, outcome.retry_after_s) == ("rate_limited", 12.0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"ok"',
        b"{",
        b"<html></html>",
        b"{}",
        b'{"status":"true","data":{}}',
        b'{"status":true}',
        b'{"status":true,"data":[]}',
        b'{"status":true,"data":{}}',
        b'{"status":true,"data":{"transaction":null}}',
        b'{"status":true,"data":{"request":null,"transaction":7}}',
        b"[" * 100_000,
        b"\xff",
    ],
)
async def test_unreadable_success(bank: LencoBank, lenco: Scripted, body: bytes) -> None:
    """A 2xx that is not the documented shape is unknown for submit and proves nothing for GET."""
    assert (await submit(bank, lenco, Reply(200, body))).kind is OutcomeKind.UNKNOWN
    lenco.script(Reply(200, body))
    assert isinstance(await bank.lookup(REFERENCE), Unavailable)


# -- accepted


async def test_queue_states(bank: LencoBank, lenco: Scripted) -> None:
    """Queued and created without a transaction are pending; another word is not understood."""
    for word, kind in (
        ("queued", OutcomeKind.PENDING),
        ("created", OutcomeKind.PENDING),
        (None, OutcomeKind.PENDING),
        ("cancelled", OutcomeKind.UNKNOWN),
    ):
        answer = pair(None, status=word)
        assert (await submit(bank, lenco, answer)).kind is kind
        found = await lookup(bank, lenco, answer)
        assert (found.kind, found.raw_status) == (kind, word)
        assert found.amount == PLAY.request.amount


async def test_accepted_with_its_transaction(bank: LencoBank, lenco: Scripted) -> None:
    """Submit may already know the end, with everything the transaction says."""
    outcome = await submit(bank, lenco, pair(transaction()))
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert outcome.psp_id == "5c7d1f5e-9a53-4e0e-8b0c-1f2a3b4c5d6e"
    assert outcome.fee == Money(4350, NGN)
    assert outcome.session_id == "000016261121100000123456789012"
    assert (outcome.bank_code, outcome.account_number) == ("000014", "0123456789")
    failed = transaction(status="failed", reasonForFailure="Insufficient Balance in Debit Account")
    outcome = await submit(bank, lenco, pair(failed))
    assert (outcome.kind, outcome.fault) == (OutcomeKind.FAILED, Fault.OURS)


DETAILS = {"accountName": "X", "bank": {"code": "000014", "name": "ACCESS BANK"}}


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (pair(None, reference=OTHER), "reference"),
        (pair(None, amount="75375.01"), "amount"),
        (pair(None, amount="753.75"), "amount"),
        (pair(None, accountNumber="0123456780"), "recipient account"),
        (pair(None, bankCode="000015"), "recipient bank"),
        (pair(None, accountId="other"), "debit account"),
        (pair(transaction(clientReference=OTHER)), "reference"),
        (pair(transaction(amount="75375")), ""),
        (pair(transaction(amount="1.00")), "amount"),
        (pair(transaction(details={**DETAILS, "accountNumber": "9"})), "recipient account"),
        (pair(transaction(type="credit")), "not a debit"),
        (pair(transaction(clientReference=None), reference=OTHER), "reference"),
        (pair(transaction(status="declined")), "declined"),
    ],
)
async def test_figures_that_contradict(
    bank: LencoBank, lenco: Scripted, answer: Reply, word: str
) -> None:
    """What is not the transfer we sent is unknown and held, with the reason in words."""
    outcome = await submit(bank, lenco, answer)
    if not word:
        assert (outcome.kind, outcome.hold) == (OutcomeKind.SUCCEEDED, None)
        return
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert outcome.hold is not None
    assert word in outcome.hold


@pytest.mark.parametrize(
    "answer",
    [
        pair(None, reference=None),
        pair(None, amount=None),
        pair(None, amount="much"),
        pair(transaction(amount=None)),
    ],
)
async def test_figures_that_are_missing(bank: LencoBank, lenco: Scripted, answer: Reply) -> None:
    """Without reference and amount there is nothing that could fit: unknown, without a hold."""
    outcome = await submit(bank, lenco, answer)
    assert (outcome.kind, outcome.hold) == (OutcomeKind.UNKNOWN, None)


async def test_submit_tolerates_what_is_not_repeated(bank: LencoBank, lenco: Scripted) -> None:
    """A transaction without details yet falls back on the request beside it."""
    outcome = await submit(bank, lenco, pair(transaction(status="pending", details=None)))
    assert (outcome.kind, outcome.account_number) == (OutcomeKind.PENDING, "0123456789")


# -- look-up


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("pending", OutcomeKind.PENDING),
        ("successful", OutcomeKind.SUCCEEDED),
        ("failed", OutcomeKind.FAILED),
        ("Successful", OutcomeKind.UNKNOWN),
        ("reversed", OutcomeKind.UNKNOWN),
        (None, OutcomeKind.UNKNOWN),
    ],
)
async def test_statuses(
    bank: LencoBank, lenco: Scripted, status: str | None, kind: OutcomeKind
) -> None:
    """The three documented words have their meaning, any other has none."""
    outcome = await lookup(bank, lenco, pair(transaction(status=status)))
    assert (outcome.kind, outcome.raw_status, outcome.hold) == (kind, status, None)


async def test_declined_is_held(bank: LencoBank, lenco: Scripted) -> None:
    """``declined`` is not final: a person decides."""
    outcome = await lookup(bank, lenco, pair(transaction(status="declined")))
    assert (outcome.kind, outcome.raw_status) == (OutcomeKind.UNKNOWN, "declined")
    assert outcome.hold is not None


async def test_the_look_up_hands_over_other_figures(bank: LencoBank, lenco: Scripted) -> None:
    """Amount, account and bank are Lenco's: whoever holds the attempt compares them."""
    theirs = transaction(
        amount="1.00",
        details={"accountNumber": "9999999999", "bank": {"code": "000015"}},
    )
    outcome = await lookup(bank, lenco, pair(theirs))
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert outcome.amount == Money(100, NGN)
    assert (outcome.account_number, outcome.bank_code) == ("9999999999", "000015")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (pair(transaction(clientReference=OTHER), reference=OTHER), "reference"),
        (pair(transaction(clientReference=OTHER)), "reference"),
        (pair(None, reference=OTHER), "reference"),
        (pair(transaction(amount="-75375.00")), "amount"),
        (pair(transaction(amount=None)), "amount"),
        (pair(transaction(type="credit")), "not a debit"),
    ],
)
async def test_a_look_up_that_contradicts_itself(
    bank: LencoBank, lenco: Scripted, answer: Reply, word: str
) -> None:
    """A record that cannot be ours is held, however well it says it went."""
    outcome = await lookup(bank, lenco, answer)
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert word in (outcome.hold or "")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (bad("Transaction was not found"), True),
        (bad("Transaction was not found", 404), True),
        (bad("Transfer not found", 404), True),
        (bad("Nothing", 400, "11"), True),
        (bad("Transaction was not found", 200), False),
        (bad("Transaction was not found", 500), False),
        (bad("Transaction was not found", 401), False),
        (bad("Transaction was not found", 400, "10"), False),
        (bad("Account was not found", 400), False),
        (bad("Route not found", 404), False),
        (Reply(404, b"Transaction was not found"), False),
    ],
)
async def test_not_found_in_lencos_words_only(
    bank: LencoBank, lenco: Scripted, answer: Reply, found: bool
) -> None:
    """A 404 of a proxy is no news about a transfer."""
    lenco.script(answer)
    assert isinstance(await bank.lookup(REFERENCE), NotFound if found else Unavailable)


# -- reasons

REASONS = [
    ("Transfer Not Successful", "transfer_not_successful", Fault.PSP, False),
    ("Beneficiary Bank not Available", "destination_unavailable", Fault.RECIPIENT_BANK, True),
    ("System Malfunction", "system_malfunction", Fault.PSP, True),
    (
        "Timeout waiting for response from destination bank",
        "destination_timeout",
        Fault.RECIPIENT_BANK,
        True,
    ),
    ("Insufficient Balance in Debit Account", "insufficient_funds", Fault.OURS, False),
    ("Insufficient funds", "insufficient_funds", Fault.OURS, False),
    ("Restriction on debit account", "debit_account", Fault.OURS, False),
    ("Transfer limit exceeded", "limit_exceeded", Fault.OURS, False),
    ("Dormant Account", "account_dormant", Fault.RECIPIENT, False),
    ("Dormant session", "dormant_session", Fault.PSP, True),
    ("Name mismatch", "name_mismatch", Fault.RECIPIENT, False),
    ("Account is closed", "account_closed", Fault.RECIPIENT, False),
    ("Beneficiary account limit exceeded", "recipient_limit", Fault.RECIPIENT, False),
    ("Account on watch-list", "account_blocked", Fault.RECIPIENT, False),
    ("Invalid account number", "invalid_account", Fault.RECIPIENT, False),
    ("No response from bank", "no_response", Fault.PSP, True),
    ("Invalid account currency for this token", "unrecognised", Fault.UNKNOWN, False),
    ("Unknown response", "unrecognised", Fault.UNKNOWN, False),
    ("Please try again", "unrecognised", Fault.UNKNOWN, True),
    ("Upstream processor says no", "unrecognised", Fault.UNKNOWN, True),
    ("Request timed out", "unrecognised", Fault.UNKNOWN, True),
    ("Account closed, processor said", "account_closed", Fault.RECIPIENT, True),
    ("Lorem ipsum", "unrecognised", Fault.UNKNOWN, False),
    ("", "unstated", Fault.UNKNOWN, False),
    (None, "unstated", Fault.UNKNOWN, False),
    ("  ", "unstated", Fault.UNKNOWN, False),
]


@pytest.mark.parametrize(("text", "code", "fault", "ambiguous"), REASONS)
async def test_reasons(
    bank: LencoBank, lenco: Scripted, text: str | None, code: str, fault: Fault, ambiguous: bool
) -> None:
    """Each reason has its code, its fault, and says whether money may still move."""
    answer = pair(transaction(status="failed", reasonForFailure=text))
    outcome = await lookup(bank, lenco, answer)
    assert outcome.kind is OutcomeKind.FAILED
    assert (outcome.reason_code, outcome.fault, outcome.ambiguous) == (code, fault, ambiguous)


def test_every_reason_row_is_reached() -> None:
    """No row of the table is dead behind an earlier one."""
    reached = {tables.reason_of(text).code for text, *_ in REASONS}
    assert reached == {reason.code for _, reason in tables.REASONS} | {"unstated", "unrecognised"}


async def test_a_success_keeps_no_fault(bank: LencoBank, lenco: Scripted) -> None:
    """A left-over reason on a successful transfer blames nobody."""
    outcome = await lookup(bank, lenco, pair(transaction(reasonForFailure="Account closed")))
    assert (outcome.kind, outcome.fault) == (OutcomeKind.SUCCEEDED, None)


# -- the other questions


async def test_balances(bank: LencoBank, lenco: Scripted) -> None:
    """Both figures, a negative one too; another currency or an odd figure is no reading."""
    tree = {"availableBalance": "-10.50", "currentBalance": "99.00", "currency": "NGN"}
    lenco.script(good(tree))
    reading = await bank.balance("NGN")
    assert isinstance(reading, BalanceReading)
    assert (reading.available, reading.ledger) == (Money(-1050, NGN), Money(9900, NGN))
    lenco.script(good({**tree, "currentBalance": None}))
    reading = await bank.balance("NGN")
    assert isinstance(reading, BalanceReading)
    assert reading.ledger is None
    for change in ({"currency": "ZMW"}, {"availableBalance": None}, {"availableBalance": "1e"}):
        lenco.script(good({**tree, **change}))
        assert isinstance(await bank.balance("NGN"), Unavailable)
    lenco.script(reply({"status": True, "data": {"availableBalance": 12.5}}))
    assert isinstance(await bank.balance("NGN"), Unavailable)
    with pytest.raises(UnsupportedCurrency):
        await bank.balance("KES")


async def test_bank_list_has_all_pages(bank: LencoBank, lenco: Scripted) -> None:
    """A list in pages is read to its end; one bad page or row and there is none."""
    first = good([{"code": "000014", "name": "ACCESS BANK"}], meta={"pageCount": 2})
    second = good([{"code": "000015", "name": "ZENITH BANK"}], meta={"pageCount": 2})
    lenco.script(first, second)
    listed = (ListedBank("000014", "ACCESS BANK"), ListedBank("000015", "ZENITH BANK"))
    assert await bank.banks("NGN") == listed
    assert [heard.query for heard in lenco.heard] == ["", "page=2"]
    lenco.script(first, bad("no", 400))
    assert isinstance(await bank.banks("NGN"), Unavailable)
    lenco.script(good([{"code": "000014", "name": "A"}, {"code": 15}]))
    assert isinstance(await bank.banks("NGN"), Unavailable)
    with pytest.raises(TidegateError):
        await bank.banks("KES")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (bad("Account details was not found"), NotResolvable),
        (bad("Invalid account number", 422), NotResolvable),
        (bad("Whatever", 400, "05"), NotResolvable),
        (bad("Whatever", 404, "11"), NotResolvable),
        (bad("Whatever", 400, "01"), Unavailable),
        (bad("Account details was not found", 200), Unavailable),
        (bad("Account details was not found", 500), Unavailable),
        (good({"accountName": "  ", "accountNumber": "0123456789"}), Unavailable),
        (good({"accountName": "ADA", "accountNumber": "9999999999"}), Unavailable),
        (good({"accountName": "ADA"}), Resolved),
        (good([]), Unavailable),
        (Reply(drop=True), Unavailable),
    ],
)
async def test_name_enquiry(
    bank: LencoBank, lenco: Scripted, answer: Reply, kind: type[object]
) -> None:
    """Only Lenco's own refusal says that there is no such account."""
    lenco.script(answer)
    assert isinstance(await bank.resolve("000014", "0123456789"), kind)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (good(transaction(id="c-1", type="credit")), Credit),
        (good(transaction(id="c-1", type="credit", accountId=None)), Credit),
        (good(transaction(id="c-1", type="credit", accountId="other")), NotFound),
        (good(transaction(id="c-1", type="credit", status="pending")), NotFound),
        (good(transaction(id="c-1", type="debit")), NotFound),
        (good(transaction(id="c-2", type="credit")), Unavailable),
        (good(transaction(id="c-1", type="credit", amount="0.00")), Unavailable),
        (good(transaction(id="c-1", type="credit", amount="-5.00")), Unavailable),
        (good(transaction(id="c-1", type="credit", amount=None)), Unavailable),
        (bad("Transaction was not found"), NotFound),
        (bad("Transaction was not found", 503), Unavailable),
        (bad("Something else"), Unavailable),
        (good([]), Unavailable),
    ],
)
async def test_credits(bank: LencoBank, lenco: Scripted, answer: Reply, kind: type[object]) -> None:
    """Funding is a successful credit of our own account under the very id asked for."""
    lenco.script(answer)
    assert isinstance(await bank.credit("c-1"), kind)


async def test_capabilities(bank: LencoBank) -> None:
    """Naira, with name enquiry; the submit limit is the contract's."""
    can = bank.capabilities()
    assert bank.name == "lenco"
    assert can.currencies == {"NGN"}
    assert can.name_enquiry
    assert can.submit_timeout_s == 30.0


async def test_the_stored_body_survives_another_configuration(lenco: Scripted) -> None:
    """The body is compared with what it says itself, not with today's settings."""
    clock = Hasty()
    http = HttpClient(clock, Randomness(clock), aiohttp.TCPConnector, "lenco")
    bank = LencoBank(
        base_url=f"{lenco.origin}/access/v1/",
        api_key=TOKEN,
        account_id="a-newer-account",
        http=http,
        clock=clock,
    )
    before = json.loads(PLAY.bank("", http, clock).prepare(PLAY.request))
    lenco.script(PLAY.accepted())
    outcome = await bank.submit(REFERENCE, json.dumps(before).encode())
    assert (outcome.kind, outcome.hold) == (OutcomeKind.PENDING, None)
    await bank.close()
