"""What ages out goes, what money may need stays; a person is forgotten and the books are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.integration.cli.conftest import Command, on_database
from tests.integration.cli.payments_world import OWNER, PAID, fill_payments, rows
from tests.integration.cli.world import ACCOUNT, FULFILLED, HELD, NAME, fill
from tests.support.databases import Prepare
from tidegate import migrations
from tidegate.cases.tables import cases
from tidegate.cli.schema import inline
from tidegate.clock import SystemClock
from tidegate.db.engine import Database, open_database
from tidegate.db.exchanges import exchanges
from tidegate.db.idempotency import idempotency_keys
from tidegate.db.inbox import inbox
from tidegate.db.url import parse
from tidegate.ledger.tables import entries
from tidegate.migrations import metadata
from tidegate.payments.tables import (
    deliveries,
    delivery_attempts,
    disputes,
    payment_events,
    payments,
    webhook_endpoints,
)
from tidegate.payouts.tables import (
    attempts,
    found_transfers,
    observations,
    offers,
    payout_events,
    payouts,
)
from tidegate.users.tables import refresh_tokens, sessions, users

_DAY_MS = 86_400_000
_EMAIL, _NOTE = "ada.obi@person.example", "for Ada Obi, Marina Road 12"
_KEY = "a-key-of-the-tests-0123456789-0123456789"
_AGED = {
    offers: "received_at",
    inbox: "received_at",
    exchanges: "at",
    observations: "at",
    deliveries: "created_at",
    sessions: "expires_at",
    idempotency_keys: "created_at",
}
_FOR_EVER = (payouts, attempts, payout_events, payments, payment_events, entries)


def _prepare(url: str) -> None:
    async def prepare() -> None:
        database = open_database(parse(url), SystemClock(), executor=inline)
        await migrations.upgrade(database)
        await fill(database)
        await fill_payments(database)
        await database.write(_person)
        await database.close()

    asyncio.run(prepare())


def _person(connection: Any) -> None:
    """A user with a session and texts of their own, and a world whose ended rows have ended."""
    now_ms = SystemClock().now_ms()
    connection.execute(
        users.insert().values(
            id=OWNER,
            email=_EMAIL,
            email_key=_EMAIL,
            password_hash="$argon2id$of-ada",
            role="user",
            state="active",
            token_version=1,
            created_at=now_ms,
            updated_at=now_ms,
        )
    )
    connection.execute(
        sessions.insert().values(
            id="ses_1",
            user_id=OWNER,
            created_at=now_ms,
            last_used_at=now_ms,
            expires_at=now_ms + _DAY_MS,
            address="203.0.113.77",
            user_agent="AdasBrowser/1",
        )
    )
    connection.execute(
        refresh_tokens.insert().values(id="f" * 64, session_id="ses_1", created_at=now_ms)
    )
    connection.execute(
        update(payments)
        .where(payments.c.id == PAID)
        .values(description=_NOTE, metadata={"to": _NOTE}, return_url="https://ada.example/back")
    )
    connection.execute(
        update(payment_events)
        .where(payment_events.c.payment_id == PAID)
        .values(data={"id": PAID, "amount": 2_500, "description": _NOTE, "metadata": {"a": _NOTE}})
    )
    connection.execute(
        update(idempotency_keys)
        .where(idempotency_keys.c.subject == PAID)
        .values(user_id=OWNER, body={"id": PAID, "description": _NOTE}, key=_EMAIL)
    )
    connection.execute(
        update(exchanges).where(exchanges.c.subject == PAID).values(request=f"note={_NOTE}")
    )
    connection.execute(
        update(inbox)
        .where(inbox.c.id == "inb_p1")
        .values(body=b'{"id":"pi_pay_1","email":"' + _EMAIL.encode() + b'"}')
    )
    connection.execute(
        update(disputes).where(disputes.c.payment_id == PAID).values(state="won", reason=_NOTE)
    )
    connection.execute(update(webhook_endpoints).values(url="https://ada.example/hook"))
    connection.execute(update(delivery_attempts).values(answer=f"thanks, {_NOTE}"))
    connection.execute(
        update(attempts).where(attempts.c.id == "att_1").values(due_at=None, kind=None)
    )
    connection.execute(
        update(attempts).values(body=f'{{"accountName":"{NAME}","n":"{ACCOUNT}"}}'.encode())
    )
    connection.execute(
        update(exchanges).where(exchanges.c.subject == "po_1").values(response=f"name={NAME}")
    )
    # As after a restore: the transfer was found at the PSP.
    connection.execute(
        found_transfers.insert().values(
            id="ftr_1",
            psp="lenco",
            reference="tg-found-01",
            order_reference="tg-found",
            number=1,
            outcome="paid",
            certain=False,
            account_number=ACCOUNT,
            found_at=now_ms,
            payout_id="po_1",
        )
    )


@pytest.fixture
def world(
    monkeypatch: pytest.MonkeyPatch,
    environment: None,
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> str:
    """Both worlds in one database."""
    url = make_template("retention", _prepare)()
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def _change(url: str, *statements: Any) -> None:
    def work(connection: Any) -> None:
        for statement in statements:
            connection.execute(statement)

    async def use(database: Database) -> None:
        await database.write(work)

    on_database(url, use)


def _age(url: str) -> None:
    """Everything happened two years earlier."""
    _change(
        url,
        *(
            update(table).values({column: table.c[column] - 730 * _DAY_MS})
            for table, column in _AGED.items()
        ),
    )


def _dump(url: str) -> str:
    """Every value of every row of every table, as text; bytes as the text that they hold."""

    def spelled(value: Any) -> str:
        return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else repr(value)

    def read(connection: Any) -> str:
        return "\n".join(
            f"{table.name} {column}={spelled(value)}"
            for table in metadata.sorted_tables
            for row in connection.execute(select(table)).mappings()
            for column, value in row.items()
        )

    found: str = on_database(url, lambda database: database.read(read))
    return found


def _counts(url: str) -> dict[str, int]:
    def read(connection: Any) -> dict[str, int]:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in _FOR_EVER
        }

    found: dict[str, int] = on_database(url, lambda database: database.read(read))
    return found


def _ids(url: str, table: Any, column: str) -> set[str]:
    return {row[column] for row in rows(url, table)}


@pytest.fixture
def encrypted(tidegate: Command, world: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, brought under a key."""
    monkeypatch.setenv("DATA_KEY", _KEY)
    assert tidegate("data", "rekey").code == 0
    assert ACCOUNT not in _dump(world)
    return world


def _into_the_clear(tidegate: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_KEY")
    monkeypatch.setenv("DATA_KEY_PREVIOUS", _KEY)
    assert tidegate("data", "rekey").code == 0


def test_what_money_may_need_stays_however_old(tidegate: Command, world: str) -> None:
    """Two years later only what has ended goes: nothing of the held order, of payments whose
    outcome is unknown, and no key of a payment that can be refunded."""
    _age(world)
    before = _counts(world)
    looked = tidegate("retention", "run", "--dry-run", "--json").json["kinds"]
    assert _ids(world, observations, "id") == {"obs_1", "obs_2"}
    ran = tidegate("retention", "run", "--json").json["kinds"]
    assert {each["kind"]: each["removed"] for each in ran} == {
        each["kind"]: each["aged_out"] for each in looked
    }
    assert _ids(world, offers, "order_id") == {HELD}
    assert _ids(world, observations, "id") == {"obs_2"}
    assert "po_2" in _ids(world, exchanges, "subject")
    assert not {"po_1", PAID, "re_1"} & _ids(world, exchanges, "subject")
    assert _ids(world, idempotency_keys, "subject") >= {PAID, "pay_2"}
    assert _ids(world, refresh_tokens, "id") == set()
    assert _counts(world) == before
    assert tidegate("ledger", "audit").code == 0
    assert tidegate("retention", "run", "--json").json["kinds"][0]["removed"] == 0


def test_what_is_young_stays(tidegate: Command, world: str) -> None:
    """Nothing of today goes, whatever has become of it."""
    ran = tidegate("retention", "run", "--json").json["kinds"]
    assert {each["removed"] for each in ran} == {0}


def test_a_case_keeps_what_was_said(tidegate: Command, world: str) -> None:
    """An exchange and the evidence outlive the case that is open about their order."""
    _age(world)
    _change(world, update(cases).where(cases.c.subject == "po_2").values(subject="att_1"))
    tidegate("retention", "run")
    assert "po_1" in _ids(world, exchanges, "subject")
    assert "obs_1" in _ids(world, observations, "id")


def test_a_key_goes_when_its_payment_is_refunded_whole(tidegate: Command, world: str) -> None:
    """Then nothing can move by it any more."""
    _age(world)
    whole = update(payments).where(payments.c.id == PAID).values(amount_refunded=2_500)
    _change(world, whole)
    tidegate("retention", "run")
    assert _ids(world, idempotency_keys, "subject") == {"pay_2"}


def test_no_key_younger_than_a_day_can_be_asked_for(
    tidegate: Command, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days below what money needs are refused, every one of them at once."""
    monkeypatch.setenv("RETAIN_IDEMPOTENCY_KEYS_DAYS", "1")
    monkeypatch.setenv("RETAIN_INBOX_DAYS", "30")
    ran = tidegate("retention", "run")
    assert ran.code != 0
    assert "RETAIN_IDEMPOTENCY_KEYS_DAYS" in ran.err
    assert "RETAIN_INBOX_DAYS" in ran.err


def test_an_erased_user_is_nowhere(tidegate: Command, world: str) -> None:
    """A dump of the whole database holds none of the person's words; the books stand."""
    words = (_EMAIL, "Ada Obi", "Marina", "203.0.113.77", "AdasBrowser", "ada.example", "of-ada")
    before = _dump(world)
    assert [word for word in words if word not in before] == []
    books = tidegate("ledger", "trial-balance", "--json").out
    assert tidegate("users", "erase", _EMAIL, "--reason", "asked for").code == 0
    after = _dump(world)
    assert [word for word in words if word in after] == []
    assert tidegate("ledger", "audit").code == 0
    assert tidegate("ledger", "trial-balance", "--json").out == books
    (payment,) = rows(world, payments, id=PAID)
    assert (payment["amount"], payment["amount_captured"], payment["state"]) == (
        2_500,
        2_500,
        "succeeded",
    )
    (session,) = rows(world, sessions)
    assert session["revoked_at"] is not None
    assert rows(world, refresh_tokens) == []
    assert tidegate("payments", "show", PAID, "--full").code == 0
    assert tidegate("users", "enable", OWNER, "--reason", "again").code != 0
    assert "asked for" in after  # the operators' log


def test_an_erased_user_was_not_only_encrypted(
    tidegate: Command, encrypted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a key the same is overwritten: in the clear again, nothing of the person is there."""
    assert tidegate("users", "erase", _EMAIL, "--reason", "asked for").code == 0
    _into_the_clear(tidegate, monkeypatch)
    after = _dump(encrypted)
    assert "encrypted:" not in after
    assert [word for word in (_EMAIL, "Ada Obi", "Marina") if word in after] == []


def test_a_user_with_a_payment_under_way_is_not_erased(tidegate: Command, world: str) -> None:
    """Refused whole: nothing is overwritten, and the sentence names the payment."""
    _change(world, update(payments).where(payments.c.id == "pay_3").values(user_id=OWNER))
    before = _dump(world)
    ran = tidegate("users", "erase", _EMAIL, "--reason", "asked for")
    assert ran.code != 0
    assert "pay_3" in ran.err
    assert _dump(world) == before


def test_an_erased_recipient_is_nowhere(tidegate: Command, world: str) -> None:
    """Account and name of the fulfilled order are gone; those of the held one are refused."""
    ran = tidegate("orders", "erase", HELD, "--reason", "asked for")
    assert ran.code != 0
    assert "open" in ran.err
    assert tidegate("orders", "erase", FULFILLED, "--reason", "asked for").code == 0
    _forget_the_others(world)
    left = [line for line in _dump(world).splitlines() if ACCOUNT in line or NAME in line]
    assert left == []
    assert tidegate("ledger", "audit").code == 0
    assert tidegate("orders", "show", FULFILLED, "--full").code == 0


def test_an_erased_recipient_was_not_only_encrypted(
    tidegate: Command, encrypted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a key erasure finds the webhook by what stands beside it, and what aged out goes too:
    in the clear again, nothing of the recipient is there."""
    assert tidegate("orders", "erase", FULFILLED, "--reason", "asked for").code == 0
    _into_the_clear(tidegate, monkeypatch)
    _forget_the_others(encrypted)
    after = _dump(encrypted)
    assert "encrypted:" not in after
    assert [line for line in after.splitlines() if ACCOUNT in line or NAME in line] == []


def test_what_aged_out_goes_under_a_key(tidegate: Command, encrypted: str) -> None:
    """The same rows as without one."""
    _age(encrypted)
    tidegate("retention", "run")
    assert _ids(encrypted, offers, "order_id") == {HELD}
    assert not {"po_1", PAID, "re_1"} & _ids(encrypted, exchanges, "subject")
    assert tidegate("ledger", "audit").code == 0


def _forget_the_others(world: str) -> None:
    """The other orders have the same recipient here."""
    others = [
        update(payouts).where(payouts.c.id != "po_1").values(recipient=None),
        update(attempts).where(attempts.c.id != "att_1").values(account_number=None, body=None),
        update(offers).where(offers.c.order_id != FULFILLED).values(body=""),
        update(inbox).where(inbox.c.id == "inb_2").values(body=b""),
    ]
    _change(world, *others)
