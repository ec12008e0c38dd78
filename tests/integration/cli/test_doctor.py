"""``doctor``: every check that can fail does, and says what to do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.integration.cli.conftest import Command, on_database
from tests.integration.cli.world import ENVIRONMENT
from tidegate.clock import Randomness, SystemClock
from tidegate.db.engine import Database
from tidegate.sandbox.aggregator import SandboxAggregator
from tidegate.sandbox.bank import BANKS, SandboxBank
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.faults import BankFaults

CARDS_KEY = "sk_test_doctor"
TOKEN, ACCOUNT_ID = "sandbox-token-of-the-tests", "1c59801f-cde0-42df-ac84-2a17d780f259"


@dataclass
class Companies:
    """Both companies on a loop of their own, since commands run one of theirs."""

    bank: SandboxBank
    aggregator: SandboxAggregator
    cards: SandboxCards
    bank_url: str
    aggregator_url: str
    cards_url: str


@pytest.fixture
def companies(monkeypatch: pytest.MonkeyPatch, environment: None) -> Iterator[Companies]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def on_loop(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    async def start() -> Companies:
        clock = SystemClock()
        bank = SandboxBank(
            clock,
            Randomness(clock),
            token=TOKEN,
            account_id=ACCOUNT_ID,
            opening_balance=Decimal(50_000),
            webhook_url=None,
            faults=BankFaults(),
        )
        aggregator = SandboxAggregator(
            clock,
            Randomness(clock),
            client_id=ENVIRONMENT["AGGREGATOR_CLIENT_ID"],
            secret=ENVIRONMENT["AGGREGATOR_SECRET_KEY"],
            node_url="http://127.0.0.1:9",
        )
        cards = SandboxCards(clock, api_key=CARDS_KEY, webhook_secret="whsec_doctor")
        return Companies(
            bank,
            aggregator,
            cards,
            await bank.start(),
            await aggregator.start(),
            await cards.start(),
        )

    async def stop(played: Companies) -> None:
        await played.cards.stop()
        await played.aggregator.stop()
        await played.bank.stop()

    played: Companies = on_loop(start())
    monkeypatch.setenv("LENCO_BASE_URL", played.bank_url)
    monkeypatch.setenv("LENCO_API_KEY", TOKEN)
    monkeypatch.setenv("LENCO_ACCOUNT_ID", ACCOUNT_ID)
    monkeypatch.setenv("AGGREGATOR_BASE_URL", played.aggregator_url)
    yield played
    on_loop(stop(played))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def _checks(found: Any) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["verdict"], one["detail"] + one["next"]) for one in found["checks"]}


def test_a_node_that_could_serve_has_nothing_failed(
    tidegate: Command, url: str, companies: Companies
) -> None:
    """Warnings name what is still to be done; the exit code is 0."""
    ran = tidegate("doctor", "--json")
    checks = _checks(ran.json)
    assert (ran.code, ran.json["ok"]) == (0, True)
    for name in (
        "configuration",
        "database",
        "database clock",
        "storage",
        "ledger",
        "aggregator clock",
        "aggregator signature",
        "balances NGN",
        "psp lenco NGN",
    ):
        assert checks[name][0] == "ok", (name, checks[name])
    assert "webhooks/psp" in checks["address"][1]
    assert checks["worker"][0] == "warn"
    assert "tidegate cases list" in checks["cases"][1]
    assert "50,000.00 NGN" in checks["psp lenco NGN"][1]


def test_the_table_names_every_check(tidegate: Command, url: str, companies: Companies) -> None:
    """For people: check, verdict, what was found, what to do."""
    ran = tidegate("doctor")
    assert ran.code == 0
    assert "aggregator signature" in ran.out
    assert "Checks: " in ran.out


def test_every_fault_of_the_configuration_is_a_check(
    tidegate: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, each with its variable."""
    monkeypatch.setenv("PUBLIC_URL", "https://node400.example")
    monkeypatch.setenv("CURRENCIES", "naira")
    ran = tidegate("doctor", "--json")
    assert ran.code == 1
    details = [one["detail"] for one in ran.json["checks"] if one["verdict"] == "fail"]
    assert any(detail.startswith("PUBLIC_URL contains 400") for detail in details)
    assert any(detail.startswith("CURRENCIES") for detail in details)


def test_the_card_processor_is_asked_whether_it_takes_our_key(
    tidegate: Command, url: str, companies: Companies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key: not configured. A wrong one fails; the right one tells where events go."""
    assert (
        "no payments are taken" in _checks(tidegate("doctor", "--json").json)["card processor"][1]
    )
    monkeypatch.setenv("STRIPE_API_BASE", companies.cards_url)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_doctor")
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_somebody_elses")
    wrong = tidegate("doctor", "--json")
    verdict, said = _checks(wrong.json)["stripe"]
    assert (wrong.code, verdict) == (1, "fail")
    assert "Check STRIPE_API_KEY" in said
    monkeypatch.setenv("STRIPE_API_KEY", CARDS_KEY)
    right = _checks(tidegate("doctor", "--json").json)
    assert right["stripe"][0] == "ok"
    assert "/api/webhooks/stripe" in right["stripe webhooks"][1]


def test_a_wrong_secret_is_found(
    tidegate: Command, url: str, companies: Companies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The aggregator refuses the signature; the next step names both settings, no secret."""
    monkeypatch.setenv("AGGREGATOR_SECRET_KEY", "not-the-shared-one")
    ran = tidegate("doctor", "--json")
    verdict, said = _checks(ran.json)["aggregator signature"]
    assert (ran.code, verdict) == (1, "fail")
    assert "AGGREGATOR_SECRET_KEY" in said
    assert "not-the-shared-one" not in ran.out


def test_a_psp_that_refuses_us_is_found(
    tidegate: Command, url: str, companies: Companies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong token is a failure that asks for the credentials."""
    monkeypatch.setenv("LENCO_API_KEY", "another-token-altogether")
    ran = tidegate("doctor", "--json")
    verdict, said = _checks(ran.json)["psp lenco NGN"]
    assert (ran.code, verdict) == (1, "fail")
    assert "credentials" in said
    assert "another-token" not in ran.out


def test_companies_that_are_not_there_are_found(tidegate: Command, url: str) -> None:
    """Nobody listens at the default addresses of development."""
    ran = tidegate("doctor", "--json")
    checks = _checks(ran.json)
    assert ran.code == 1
    assert checks["aggregator"][0] == checks["psp lenco NGN"][0] == "fail"
    assert "AGGREGATOR_BASE_URL" in checks["aggregator"][1]


def test_a_refused_balance_form_names_the_other_dialect(
    tidegate: Command, url: str, companies: Companies
) -> None:
    """The record of the last push says that the form was refused."""

    def refuse(connection: Connection) -> None:
        connection.execute(
            text("UPDATE periodic SET result = :result WHERE id = 'push:NGN'"),
            {"result": '{"said": "misconfigured", "available": 0, "reserved": 0}'},
        )

    async def work(database: Database) -> None:
        await database.write(refuse)

    on_database(url, work)
    ran = tidegate("doctor", "--json")
    verdict, said = _checks(ran.json)["balances NGN"]
    assert (ran.code, verdict) == (1, "fail")
    assert "AGGREGATOR_DIALECT=live" in said


def test_a_push_sends_the_current_figure(tidegate: Command, url: str, companies: Companies) -> None:
    """Asked to, and with nobody serving, doctor proves the form itself."""
    ran = tidegate("doctor", "--push-balances", "--json")
    assert "just now" in _checks(ran.json)["balances NGN"][1]
    assert "47856.5" in str(companies.aggregator.book.floats["NGN"].as_json())


def test_doctor_asks_and_changes_nothing(tidegate: Command, url: str, companies: Companies) -> None:
    """No balance is sent and no transfer made without being asked."""
    tidegate("doctor")
    assert "NGN" not in companies.aggregator.book.floats
    assert companies.bank.transfers == {}


def test_a_database_that_is_not_migrated_is_found(
    tidegate: Command, companies: Companies, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next step is the command; the others are asked once it is right."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    ran = tidegate("doctor", "--json")
    verdict, said = _checks(ran.json)["database"]
    assert (ran.code, verdict) == (1, "fail")
    assert "tidegate migrate" in said


def test_a_book_too_long_for_a_visit_is_judged_by_its_sums(
    tidegate: Command, url: str, companies: Companies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debits and credits are added up at once; the whole audit is asked for."""
    monkeypatch.setattr("tidegate.cli.checks._AUDITED_MAX", 0)
    verdict, said = _checks(tidegate("doctor", "--json").json)["ledger"]
    assert verdict == "warn"
    assert "tidegate ledger audit" in said


@pytest.fixture
def shorter_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bank makes its list when it starts: ask for this before the companies."""
    assert isinstance(BANKS, dict)
    monkeypatch.delitem(BANKS, "000013")


def test_an_institution_that_a_list_lacks_is_named(
    tidegate: Command, url: str, shorter_list: None, companies: Companies
) -> None:
    """Orders for it are declined, so somebody should ask the PSP."""
    verdict, said = _checks(tidegate("doctor", "--json").json)["psp lenco banks"]
    assert verdict == "warn"
    assert "GTBINGLA" in said


def test_a_damaged_file_is_found(
    tidegate: Command, environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no SQLite file ends in a sentence, never a traceback."""
    (tmp_path / "broken.db").write_bytes(b"this was never a database " * 100)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/broken.db")
    ran = tidegate("doctor", "--json")
    assert (ran.code, _checks(ran.json)["database"][0]) == (1, "fail")
    listed = tidegate("orders", "list")
    assert listed.code == 2
    assert "cannot be used" in listed.err
