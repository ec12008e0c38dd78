"""What every PSP adapter has to do, whatever its PSP speaks.

A new adapter passes this suite by two things in its test module: a subclass of :class:`Play`,
which spells each answer as its PSP does, and ``class TestMine(BankConformance): play = MyPlay()``.
The counterparty is a server on this machine that answers by a script.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest

from tests.integration.adapters.raw import Hasty, Reply, Scripted, scripted_server
from tidegate.adapters.http import HttpClient
from tidegate.clock import Clock, Randomness
from tidegate.errors import TidegateError
from tidegate.money import Money, parse_currency
from tidegate.ports.bank import (
    BalanceReading,
    Bank,
    Credit,
    Fault,
    ListedBank,
    NotFound,
    NotResolvable,
    Outcome,
    OutcomeKind,
    PayoutRequest,
    Rejected,
    Resolved,
    Unavailable,
    WebhookEvent,
)

REFERENCE = "tg-k3j5x7q2m4n6p2r7s3t2v4-01"
HTML = Reply(status=502, body=b"<html>Bad Gateway</html>")
DROPPED = Reply(drop=True)


class Play(ABC):
    """A PSP's way of saying things. Figures are those of ``request`` unless stated."""

    currency = "NGN"
    bank_code = "000014"
    account_number = "0123456789"

    @property
    def request(self) -> PayoutRequest:
        return PayoutRequest(
            reference=REFERENCE,
            amount=self.money(7_537_500),
            psp_bank_code=self.bank_code,
            account_number=self.account_number,
            account_name="ADA B OBI",
            narration="Payout tg-k3j5x7",
        )

    def money(self, minor: int) -> Money:
        return Money(minor, parse_currency(self.currency))

    @abstractmethod
    def bank(self, origin: str, http: HttpClient, clock: Clock) -> Bank: ...

    @abstractmethod
    def accepted(self, *, reference: str = REFERENCE, minor: int = 7_537_500) -> Reply:
        """Submit: taken, money may move later."""

    @abstractmethod
    def transfer(
        self, status: OutcomeKind, *, reason: str = "", reference: str = REFERENCE
    ) -> Reply:
        """Look-up: a transfer in that state; ``reason`` of a failure in the PSP's words."""

    @abstractmethod
    def odd_status(self) -> Reply:
        """Look-up: a transfer in a status that the PSP never documented."""

    @abstractmethod
    def not_found(self) -> Reply: ...

    @abstractmethod
    def duplicate(self) -> Reply: ...

    @abstractmethod
    def refused_account(self) -> Reply:
        """Submit: refused before creation, the account being wrong."""

    @abstractmethod
    def refused_funds(self) -> Reply:
        """Submit: refused before creation, our float being too small."""

    @abstractmethod
    def refused_somehow(self) -> Reply:
        """Submit: a 400 that nobody has seen before."""

    @abstractmethod
    def unauthorised(self) -> Reply: ...

    @abstractmethod
    def balance(self, minor: int) -> Reply: ...

    @abstractmethod
    def banks(self, *banks: ListedBank) -> Reply: ...

    @abstractmethod
    def resolved(self, name: str) -> Reply: ...

    @abstractmethod
    def unresolvable(self) -> Reply: ...

    @abstractmethod
    def credit(self, psp_id: str, minor: int) -> Reply:
        """A confirmed incoming payment."""

    @abstractmethod
    def debit(self, psp_id: str) -> Reply:
        """A record under that id which is no incoming payment."""

    @abstractmethod
    def webhook(self, status: OutcomeKind) -> bytes:
        """A webhook about our transfer."""

    @abstractmethod
    def sign(self, raw: bytes) -> Mapping[str, str]:
        """The headers that make ``raw`` authentic."""

    @property
    @abstractmethod
    def ambiguous_reason(self) -> str: ...

    @property
    @abstractmethod
    def recipient_reason(self) -> str: ...


class BankConformance:
    """The suite. Subclasses set ``play``."""

    play: Play

    @pytest.fixture
    async def psp(self) -> AsyncIterator[Scripted]:
        async with scripted_server() as server:
            yield server

    @pytest.fixture
    def clock(self) -> Hasty:
        return Hasty()

    @pytest.fixture
    async def bank(self, psp: Scripted, clock: Hasty) -> AsyncIterator[Bank]:
        http = HttpClient(clock, Randomness(clock, seed=1), aiohttp.TCPConnector, "psp")
        made = self.play.bank(psp.origin, http, clock)
        yield made
        await made.close()

    async def submit(self, bank: Bank) -> Outcome:
        return await bank.submit(REFERENCE, bank.prepare(self.play.request))

    async def lookup(self, bank: Bank) -> Outcome:
        found = await bank.lookup(REFERENCE)
        assert isinstance(found, Outcome), found
        return found

    # -- submit

    async def test_the_prepared_bytes_are_sent(self, bank: Bank, psp: Scripted) -> None:
        """What was stored is what travels, twice the same."""
        psp.script(self.play.accepted())
        body = bank.prepare(self.play.request)
        await bank.submit(REFERENCE, body)
        await bank.submit(REFERENCE, body)
        assert bank.prepare(self.play.request) == body
        assert [heard.body for heard in psp.heard] == [body, body]
        assert {heard.method for heard in psp.heard} == {"POST"}

    async def test_accepted_is_pending(self, bank: Bank, psp: Scripted) -> None:
        """An accepted transfer is no payment yet."""
        psp.script(self.play.accepted())
        assert (await self.submit(bank)).kind is OutcomeKind.PENDING

    async def test_duplicate_is_never_a_refusal(self, bank: Bank, psp: Scripted) -> None:
        """A taken reference may be our own transfer."""
        psp.script(self.play.duplicate())
        assert (await self.submit(bank)).kind is OutcomeKind.DUPLICATE

    async def test_recognised_refusals(self, bank: Bank, psp: Scripted) -> None:
        """Refused before creation: conclusive, and with the right fault."""
        psp.script(self.play.refused_account())
        outcome = await self.submit(bank)
        assert (outcome.kind, outcome.fault) == (OutcomeKind.REJECTED, Fault.RECIPIENT)
        psp.script(self.play.refused_funds())
        outcome = await self.submit(bank)
        assert (outcome.kind, outcome.fault) == (OutcomeKind.REJECTED, Fault.OURS)
        psp.script(self.play.unauthorised())
        outcome = await self.submit(bank)
        assert (outcome.kind, outcome.fault) == (OutcomeKind.REJECTED, Fault.OURS)

    async def test_what_is_not_understood_is_unknown(self, bank: Bank, psp: Scripted) -> None:
        """A 400 of an unknown kind, HTML, an empty 200, a redirect, 5xx: all unknown, sent once."""
        for answer in (
            self.play.refused_somehow(),
            HTML,
            DROPPED,
            Reply(body=b""),
            Reply(body=b"OK"),
            Reply(status=204, body=b""),
            Reply(status=302, body=b"", headers={"Location": "/"}),
            Reply(status=408),
            Reply(status=425),
            Reply(status=429),
            Reply(status=500, body=b""),
            Reply(status=503),
        ):
            psp.script(answer)
            outcome = await self.submit(bank)
            assert outcome.kind is OutcomeKind.UNKNOWN, answer
            assert len(psp.heard) == 1, answer

    async def test_another_transfer_in_the_answer_is_held(self, bank: Bank, psp: Scripted) -> None:
        """An answer about another reference or amount is unknown and for a person."""
        for answer in (
            self.play.accepted(reference="tg-aaaaaaaaaaaaaaaaaaaaaa-01"),
            self.play.accepted(minor=7_537_501),
        ):
            psp.script(answer)
            outcome = await self.submit(bank)
            assert outcome.kind is OutcomeKind.UNKNOWN
            assert outcome.hold

    async def test_not_reached_is_not_sent(self, clock: Hasty) -> None:
        """Nobody listens: the transfer may be sent again."""
        http = HttpClient(clock, Randomness(clock, seed=1), aiohttp.TCPConnector, "psp")
        bank = self.play.bank("http://127.0.0.1:1", http, clock)
        assert (await self.submit(bank)).kind is OutcomeKind.NOT_SENT
        assert isinstance(await bank.lookup(REFERENCE), Unavailable)
        await bank.close()

    async def test_a_foreign_currency_is_not_prepared(self, bank: Bank) -> None:
        """What the PSP cannot pay never becomes bytes."""
        foreign = Money(100, parse_currency("JPY"))
        request = self.play.request
        with pytest.raises(TidegateError):
            bank.prepare(
                PayoutRequest(
                    request.reference,
                    foreign,
                    request.psp_bank_code,
                    request.account_number,
                    request.account_name,
                    request.narration,
                )
            )

    # -- look-up

    @pytest.mark.parametrize("status", [OutcomeKind.PENDING, OutcomeKind.SUCCEEDED])
    async def test_states(self, bank: Bank, psp: Scripted, status: OutcomeKind) -> None:
        """The PSP's figures are handed over for comparison."""
        psp.script(self.play.transfer(status))
        outcome = await self.lookup(bank)
        assert outcome.kind is status
        assert outcome.amount == self.play.request.amount
        assert outcome.account_number in (None, self.play.account_number)
        assert outcome.hold is None
        if status is OutcomeKind.SUCCEEDED:
            assert outcome.psp_id
            assert outcome.fee is not None

    async def test_failures(self, bank: Bank, psp: Scripted) -> None:
        """A known reason has its fault; a time-out is ambiguous; an unknown one blames nobody."""
        psp.script(self.play.transfer(OutcomeKind.FAILED, reason=self.play.recipient_reason))
        outcome = await self.lookup(bank)
        assert (outcome.kind, outcome.fault) == (OutcomeKind.FAILED, Fault.RECIPIENT)
        assert not outcome.ambiguous
        psp.script(self.play.transfer(OutcomeKind.FAILED, reason=self.play.ambiguous_reason))
        outcome = await self.lookup(bank)
        assert (outcome.kind, outcome.ambiguous) == (OutcomeKind.FAILED, True)
        psp.script(self.play.transfer(OutcomeKind.FAILED, reason="The stars were not right"))
        outcome = await self.lookup(bank)
        assert (outcome.kind, outcome.fault) == (OutcomeKind.FAILED, Fault.UNKNOWN)

    async def test_an_undocumented_status_is_not_final(self, bank: Bank, psp: Scripted) -> None:
        """A new word of the PSP ends nothing."""
        psp.script(self.play.odd_status())
        outcome = await self.lookup(bank)
        assert outcome.kind in (OutcomeKind.UNKNOWN, OutcomeKind.PENDING)
        assert outcome.raw_status

    async def test_not_found_and_unavailable_differ(
        self, bank: Bank, psp: Scripted, clock: Hasty
    ) -> None:
        """Only the PSP's own words mean not found; trouble proves nothing, and is asked 3 times."""
        psp.script(self.play.not_found())
        assert isinstance(await bank.lookup(REFERENCE), NotFound)
        assert len(psp.heard) == 1
        for trouble in (HTML, Reply(status=500, body=b""), Reply(status=429)):
            psp.script(trouble)
            assert isinstance(await bank.lookup(REFERENCE), Unavailable), trouble
            assert len(psp.heard) == 3, trouble
        for odd in (Reply(status=404, body=b"nothing here"), Reply(body=b""), Reply(body=b"[]")):
            psp.script(odd)
            assert isinstance(await bank.lookup(REFERENCE), Unavailable), odd
        psp.script(self.play.unauthorised())
        refused = await bank.lookup(REFERENCE)
        assert isinstance(refused, Unavailable)
        assert refused.misconfigured
        assert len(psp.heard) == 1

    async def test_a_look_up_recovers(self, bank: Bank, psp: Scripted, clock: Hasty) -> None:
        """Two bad answers and a good one make a good answer, with growing pauses between."""
        psp.script(HTML, DROPPED, self.play.transfer(OutcomeKind.SUCCEEDED))
        assert (await self.lookup(bank)).kind is OutcomeKind.SUCCEEDED
        assert len(clock.pauses) >= 1

    async def test_retry_after_is_honoured(self, bank: Bank, psp: Scripted, clock: Hasty) -> None:
        """The pause is at least what the PSP asks for; a long one ends the question instead."""
        psp.script(
            Reply(status=429, headers={"Retry-After": "7"}),
            self.play.transfer(OutcomeKind.PENDING),
        )
        await self.lookup(bank)
        assert clock.pauses == [7.0]
        psp.script(Reply(status=429, headers={"Retry-After": "900"}))
        given_up = await bank.lookup(REFERENCE)
        assert isinstance(given_up, Unavailable)
        assert given_up.retry_after_s == 900.0
        assert len(psp.heard) == 1

    async def test_another_reference_in_a_look_up_is_held(self, bank: Bank, psp: Scripted) -> None:
        """A filter that answers with somebody else's transfer pays nobody."""
        other = self.play.transfer(OutcomeKind.SUCCEEDED, reference="tg-aaaaaaaaaaaaaaaaaaaaaa-01")
        psp.script(other)
        found = await bank.lookup(REFERENCE)
        assert not isinstance(found, Outcome) or (
            found.kind is OutcomeKind.UNKNOWN and found.hold is not None
        )

    # -- the other questions

    async def test_balance(self, bank: Bank, psp: Scripted) -> None:
        """The balance is exact; one that cannot be read is none."""
        psp.script(self.play.balance(1_234_567_05))
        reading = await bank.balance(self.play.currency)
        assert isinstance(reading, BalanceReading)
        assert reading.available == self.play.money(1_234_567_05)
        psp.script(Reply(body=b"{}"))
        assert isinstance(await bank.balance(self.play.currency), Unavailable)

    async def test_banks(self, bank: Bank, psp: Scripted) -> None:
        """The list is whole or unavailable."""
        listed = (ListedBank("000014", "ACCESS BANK"), ListedBank("000015", "ZENITH BANK"))
        psp.script(self.play.banks(*listed))
        assert await bank.banks(self.play.currency) == listed
        psp.script(HTML)
        assert isinstance(await bank.banks(self.play.currency), Unavailable)

    async def test_resolve(self, bank: Bank, psp: Scripted) -> None:
        """A name, no account, or no answer: three different things."""
        psp.script(self.play.resolved("ADA B OBI"))
        found = await bank.resolve(self.play.bank_code, self.play.account_number)
        assert isinstance(found, Resolved)
        assert found.account_name == "ADA B OBI"
        psp.script(self.play.unresolvable())
        found = await bank.resolve(self.play.bank_code, self.play.account_number)
        assert isinstance(found, NotResolvable)
        psp.script(Reply(status=504, body=b""))
        found = await bank.resolve(self.play.bank_code, self.play.account_number)
        assert isinstance(found, Unavailable)

    async def test_credit(self, bank: Bank, psp: Scripted) -> None:
        """Incoming money counts only when the PSP confirms it as such."""
        psp.script(self.play.credit("c-1", 5_000_000))
        found = await bank.credit("c-1")
        assert isinstance(found, Credit)
        assert (found.psp_id, found.amount) == ("c-1", self.play.money(5_000_000))
        psp.script(self.play.debit("c-1"))
        assert isinstance(await bank.credit("c-1"), NotFound)
        psp.script(self.play.credit("c-2", 5_000_000))
        assert isinstance(await bank.credit("c-1"), Unavailable)
        psp.script(HTML)
        assert isinstance(await bank.credit("c-1"), Unavailable)

    # -- webhooks

    def test_webhook_is_authentic_by_its_bytes(self, bank: Bank) -> None:
        """One changed byte, another key or no signature: refused."""
        raw = self.play.webhook(OutcomeKind.SUCCEEDED)
        headers = self.play.sign(raw)
        assert bank.authenticate_webhook(headers, raw) is None
        assert bank.authenticate_webhook({k.upper(): v for k, v in headers.items()}, raw) is None
        assert isinstance(bank.authenticate_webhook(headers, raw + b" "), Rejected)
        assert isinstance(bank.authenticate_webhook(headers, raw.replace(b"1", b"2")), Rejected)
        assert isinstance(bank.authenticate_webhook({}, raw), Rejected)

    @pytest.mark.parametrize("status", [OutcomeKind.SUCCEEDED, OutcomeKind.FAILED])
    def test_webhook_is_a_hint(self, bank: Bank, status: OutcomeKind) -> None:
        """It names our reference and what it claims; the same event has the same key."""
        raw = self.play.webhook(status)
        event = bank.read_webhook(raw)
        assert isinstance(event, WebhookEvent)
        assert (event.reference, event.credit_id, event.hint) == (REFERENCE, None, status)
        assert bank.read_webhook(raw) == event

    def test_unreadable_webhooks_are_rejected(self, bank: Bank) -> None:
        """Authentic nonsense is not an exception."""
        for raw in (b"", b"[]", b"null", b"{", b'"x"', b"\xff\xfe", b"{}", b"[" * 5000):
            assert isinstance(bank.read_webhook(raw), Rejected), raw

    # -- what is kept

    async def test_exchanges_are_redacted(self, bank: Bank, psp: Scripted) -> None:
        """The kept exchange tells the story without account number, name or token."""
        psp.script(self.play.accepted())
        outcome = await self.submit(bank)
        psp.script(self.play.resolved("ADA B OBI"))
        resolved = await bank.resolve(self.play.bank_code, self.play.account_number)
        assert isinstance(resolved, Resolved)
        for exchange in (outcome.exchange, resolved.exchange):
            assert exchange.status == 200
            assert exchange.took_ms >= 0
            kept = repr(exchange)
            assert self.play.account_number not in kept
            assert "OBI" not in kept
            for heard in psp.heard:
                assert heard.headers["authorization"].split()[-1] not in kept
        assert REFERENCE in outcome.exchange.request
        assert self.play.account_number[-4:] in outcome.exchange.request
