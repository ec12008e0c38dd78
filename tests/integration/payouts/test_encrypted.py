"""Recipients' data under a key: the right account is paid; nothing can be read, or moved."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, select, text, update

from tests.integration.payouts.conftest import FULL, QUIET
from tests.integration.payouts.hands import Hands
from tests.support.programs import postgresql_programs
from tests.support.world import OpenWorld, World
from tidegate.bootstrap import build
from tidegate.cases.tables import cases
from tidegate.clock import SimulatedClock, SystemClock
from tidegate.db.cipher import Cipher, cipher_of
from tidegate.db.data_keys import data_keys
from tidegate.db.engine import open_database
from tidegate.db.exchanges import exchanges
from tidegate.db.inbox import inbox
from tidegate.db.url import parse
from tidegate.errors import ConfigurationError, DataKeyMissing
from tidegate.payouts.readings import find_payout
from tidegate.payouts.states import AttemptState, State
from tidegate.payouts.story import read_story
from tidegate.payouts.tables import attempts, found_transfers, observations, offers, payouts
from tidegate.retention.rekeying import RekeyAll, read_key_use
from tidegate.sandbox.faults import BankFault
from tidegate.settings import load

KEY, NEXT_KEY = "first-key-0123456789-0123456789-ab", "second-key-0123456789-0123456789-a"
NAME, MEMO = "ZEPHYRINE QUACKENBUSH", "rent of the Quackenbush place"
ENCRYPTED_ROWS = (payouts, attempts, offers, observations, exchanges, inbox)


async def _hands(open_world: OpenWorld, **env: str) -> Hands:
    world = await open_world(
        simulated=SimulatedClock(), env={**FULL, "DATA_KEY": KEY, **env}, terms=QUIET
    )
    return await Hands.open(world)


async def _offer(world: World, **more: Any) -> tuple[str, str]:
    """An order and its account."""
    # Nothing else of a database happens to hold such a number.
    account = str(7_310_000_000 + int(world.account()) * 7_919 % 90_000_000)
    order_id = await world.offer(account=account, account_name=NAME, memo=MEMO, **more)
    return order_id, account


def _texts(connection: Connection) -> Iterator[str]:
    """Every value of every table, bytes read as text."""
    found = MetaData()
    found.reflect(connection)
    for table in found.sorted_tables:
        for row in connection.execute(select(table)):
            for value in row:
                if isinstance(value, bytes | memoryview):
                    yield bytes(value).decode("latin-1")
                else:
                    yield str(value)


async def _everything(world: World) -> bytes:
    """What somebody finds who has the database's files (SQLite), or a dump and all its tables."""
    url = parse(world.url)
    if url.dialect == "sqlite":
        await world.execute(lambda c: c.execute(text("SELECT 1")).all())
        files = [Path(url.path), Path(f"{url.path}-wal")]
        return b"".join(file.read_bytes() for file in files if file.exists())
    texts: list[str] = await world.read(lambda c: list(_texts(c)))
    program = Path(postgresql_programs()) / "pg_dump"
    dumping = await asyncio.create_subprocess_exec(program, world.url, stdout=subprocess.PIPE)
    dumped, _ = await dumping.communicate()
    assert dumping.returncode == 0
    return "\n".join(texts).encode() + dumped


def _broken(key: str) -> str:
    """What nobody can have written with this key."""
    return f"encrypted:{Cipher(key).current_id}:AAAAAAAAAAAAAAAAAAAAAAAAAAAA"


async def _use(world: World, *keys: str) -> Mapping[str, int]:
    names = {Cipher(key).current_id: key for key in keys}
    use: dict[str, int] = await world.read(read_key_use)
    return {names.get(key, key): count for key, count in use.items()}


@pytest.mark.parametrize("dialect", ["live", "spec"])
async def test_the_right_account_is_paid_and_no_file_names_it(
    open_world: OpenWorld, dialect: str
) -> None:
    """Orders with lost answers, a resend and a failure come to their ends over HTTP; the bank has
    paid the account of each order once, and neither an account nor the name can be found."""
    world = await open_world(env={"DATA_KEY": KEY, "AGGREGATOR_DIALECT": dialect})
    node = await world.local()
    made = [
        await _offer(world, dialect=dialect),
        await _offer(world, dialect=dialect, bank_faults=[BankFault.DROP_AFTER]),
        await _offer(world, dialect=dialect, bank_faults=[BankFault.DROP_BEFORE]),
        await _offer(world, dialect=dialect, bank_faults=[BankFault.REFUSE_CONNECTION]),
        await _offer(world, dialect=dialect, bank_faults=[BankFault.FAILED_UNSUCCESSFUL]),
    ]
    await world.settle(60)
    await world.assert_right()
    assert (await world.payout(made[0][0]))["state"] == State.FULFILLED
    paid = {one.account_number for one in world.bank.transfers.values()}
    assert paid <= {account for _, account in made}
    await node.stop()

    found = await _everything(world)
    for order_id, account in made:
        assert order_id.encode() in found, "the search looks at nothing"
        assert account.encode() not in found
        assert account.encode().hex().encode() not in found
    for word in (NAME, "Quackenbush"):
        assert word.encode() not in found
        assert word.encode().hex().encode() not in found
    use = await _use(world, KEY)
    assert set(use) == {KEY}
    assert use[KEY] > len(made) * len(ENCRYPTED_ROWS)


async def test_a_person_still_reads_the_story(open_world: OpenWorld) -> None:
    """Whoever has the key sees four digits and initials, the offer, the calls and the webhook."""
    hands = await _hands(open_world)
    order_id, account = await _offer(hands.world)
    await hands.sent(order_id, AttemptState.PENDING)
    await hands.to_its_end(order_id)

    def story(connection: Connection) -> Any:
        payout = find_payout(connection, order_id)
        assert payout is not None
        return read_story(connection, payout)

    told = await hands.node.app.database.read(story)
    assert told.payout["recipient"]["account_identifier"] == account
    kinds = {line.kind for line in told.lines}
    assert {"offer", "exchange", "webhook", "observation"} <= kinds
    shown = repr(told.lines)
    assert account[-4:] in shown
    assert account not in shown
    assert "encrypted:" not in shown
    # Without the key the same page says that it cannot be read, and shows the rest.
    blind = (await hands.world.read(story)).payout["recipient"]
    assert blind == {}


# -- moved and damaged values ---------------------------------------------------------------


async def test_another_orders_recipient_is_not_paid(open_world: OpenWorld) -> None:
    """Somebody who can write to the database copies a recipient into another order's row: it is
    held with a case that says so, no transfer is asked for, and the other order is paid."""
    hands = await _hands(open_world)
    world = hands.world
    victim, _ = await _offer(world)
    mine, account = await _offer(world)
    await hands.accepted(victim)
    donor = await hands.accepted(mine)
    move = update(payouts).where(payouts.c.order_id == victim)
    await world.execute(lambda c: c.execute(move.values(recipient=donor["recipient"])))

    held = await hands.payout(victim, "disburse:lenco")

    assert held["state"] == State.HELD
    assert "another place" in held["reason_text"]
    assert (hands.posts, await world.attempts(victim)) == (0, [])
    (case,) = await world.rows(cases, cases.c.subject == held["id"])
    assert (case["kind"], case["state"]) == ("payout_held", "open")
    await hands.payout(mine, "disburse:lenco")
    await hands.to_its_end(mine)
    assert [one.account_number for one in world.bank.transfers.values()] == [account]


async def test_another_attempts_body_is_not_sent(open_world: OpenWorld) -> None:
    """Bytes that were moved to an attempt that is to be sent again are not sent: it was never found
    at the bank, so it is held, asked after and shown to a person."""
    hands = await _hands(open_world)
    world = hands.world
    order_id, _ = await _offer(world, bank_faults=[BankFault.DROP_BEFORE])
    other, _ = await _offer(world)
    one = await hands.sent(order_id, AttemptState.UNKNOWN)
    donor = await hands.sent(other, AttemptState.PENDING)
    due = {"kind": "send:lenco", "due_at": hands.clock.now_ms(), "body": donor["body"]}
    await world.execute(
        lambda c: c.execute(update(attempts).where(attempts.c.id == one["id"]).values(due))
    )
    posts = hands.posts

    held = await hands.attempt(order_id, "send:lenco")

    assert (held["state"], held["kind"]) == (AttemptState.HELD, "confirm:lenco")
    assert hands.posts == posts
    payout = await world.payout(order_id)
    assert (payout["state"], payout["kind"]) == (State.HELD, None)
    assert "attempts.body" in payout["reason_text"]


async def test_a_prepared_attempt_that_cannot_be_read_is_given_up(open_world: OpenWorld) -> None:
    """It provably never left: nothing stands at the bank, and a person may have it paid anew."""
    hands = await _hands(open_world)
    world = hands.world
    order_id, _ = await _offer(world)
    claimed = await hands.claim(payouts, await hands.accepted(order_id))
    hands.clock.advance(claimed.ends_at - hands.clock.monotonic() - 29)
    await hands.run(claimed)
    (one,) = await world.attempts(order_id)
    assert one["state"] == AttemptState.PREPARED
    damage = update(attempts).where(attempts.c.id == one["id"])
    values = {"body": one["body"][:-1] + b"!", "due_at": hands.clock.now_ms()}
    await world.execute(lambda c: c.execute(damage.values(values)))
    assert (await hands.attempt(order_id, "send:lenco"))["state"] == AttemptState.WITHDRAWN
    assert (await world.payout(order_id))["state"] == State.HELD
    assert world.bank.transfers == {}


async def test_an_account_that_cannot_be_compared_is_held(open_world: OpenWorld) -> None:
    """The bank says paid, and what it paid to cannot be compared: nobody is told *paid* by machine,
    and one that was told already stays told, with a case."""
    hands = await _hands(open_world)
    world = hands.world
    open_, _ = await _offer(world)
    over, _ = await _offer(world)
    for order_id in (open_, over):
        await hands.sent(order_id, AttemptState.PENDING)
    await hands.to_its_end(over)
    swap = update(attempts).values(account_number=_broken(KEY))
    await world.execute(lambda c: c.execute(swap))

    held = await hands.look_up(open_)
    assert held["state"] == AttemptState.HELD
    assert (await world.payout(open_))["state"] == State.HELD
    stays = await hands.look_up(over)
    assert stays["state"] == AttemptState.PAID
    (case,) = await world.rows(cases, cases.c.subject == stays["id"])
    assert case["kind"] == "data_unreadable"


async def test_a_webhook_that_cannot_be_read_is_put_aside(open_world: OpenWorld) -> None:
    """It ends with a case and harms nothing: what it was about is looked up anyway."""
    hands = await _hands(open_world)
    world = hands.world
    order_id, _ = await _offer(world)
    await hands.sent(order_id, AttemptState.PENDING)
    await hands.delivered()
    (kept, *_) = await world.rows(inbox)
    spoil = {"body": _broken(KEY).encode(), "kind": "read:lenco", "due_at": 0, "state": "kept"}
    await world.execute(
        lambda c: c.execute(update(inbox).where(inbox.c.id == kept["id"]).values(spoil))
    )
    await hands.webhooks()
    (row,) = await world.rows(inbox, inbox.c.id == kept["id"])
    assert (row["state"], row["outcome"], row["kind"]) == ("read", "cannot be decrypted", None)
    assert [case["kind"] for case in await world.rows(cases)] == ["data_unreadable"]
    assert (await hands.to_its_end(order_id))["state"] == State.FULFILLED


async def test_a_spec_order_that_cannot_be_read_is_not_accepted_blindly(
    open_world: OpenWorld,
) -> None:
    """In the spec dialect the recipient came with the offer; damaged, the order is held."""
    hands = await _hands(open_world, AGGREGATOR_DIALECT="spec")
    order_id, _ = await _offer(hands.world, dialect="spec")
    spoil = update(payouts).values(recipient=_broken(KEY))
    await hands.world.execute(lambda c: c.execute(spoil))
    held = await hands.payout(order_id, "accept")
    assert held["state"] == State.HELD
    assert "payouts.recipient" in held["reason_text"]
    assert hands.posts == 0


async def test_a_process_without_the_new_key_leaves_the_row_to_others(
    open_world: OpenWorld,
) -> None:
    """While a key is changed, one process still has the old one alone: what it cannot read it does
    not hold, send or end; who has the key goes on with it."""
    hands = await _hands(open_world)
    world = hands.world
    order_id, account = await _offer(world)
    renewed = Hands(world, await world.idle(DATA_KEY=NEXT_KEY, DATA_KEY_PREVIOUS=KEY), hands.clock)
    await renewed.node.app.directory.load(renewed.node.app.database)
    before = await renewed.accepted(order_id)
    claimed = await hands.claim(payouts, before)
    with pytest.raises(DataKeyMissing, match=str(Cipher(NEXT_KEY).current_id)):
        await hands.run(claimed)
    left = await world.payout(order_id)
    assert (left["state"], await world.attempts(order_id)) == (State.ACCEPTED, [])
    assert await world.rows(cases) == []

    await renewed.run(claimed)
    await renewed.to_its_end(order_id)
    assert [one.account_number for one in world.bank.transfers.values()] == [account]


async def test_an_offer_that_came_too_early_is_taken_up(open_world: OpenWorld) -> None:
    """Its kept body opens a round when the report before has ended; one that does not open lapses,
    with a case."""
    hands = await _hands(open_world)
    world = hands.world
    good, account = await _offer(world)
    bad, _ = await _offer(world)
    due = {"state": "expired", "kind": "reoffer", "due_at": hands.clock.now_ms()}
    busy = update(offers).values(meaning="busy", received_at=offers.c.received_at + 1)
    await world.execute(lambda c: c.execute(update(payouts).values(due)))
    await world.execute(lambda c: c.execute(busy))
    spoil = busy.where(offers.c.order_id == bad).values(body=_broken(KEY))
    await world.execute(lambda c: c.execute(spoil))

    again = await hands.payout(good, "reoffer")
    assert (again["state"], again["round"], again["kind"]) == (State.PENDING, 2, "accept")
    lapsed = await hands.payout(bad, "reoffer")
    assert (lapsed["state"], lapsed["kind"]) == (State.EXPIRED, None)
    (case,) = await world.rows(cases)
    assert (case["kind"], case["subject"]) == ("data_unreadable", lapsed["id"])
    await hands.payout(good, "accept")
    await hands.payout(good, "disburse:lenco")
    assert [one.account_number for one in world.bank.transfers.values()] == [account]


async def test_a_key_that_was_taken_out_too_early_is_put_back(open_world: OpenWorld) -> None:
    """A process that nobody restarted still writes under the key: within ten seconds it is in the
    list again, so that no later start does without it."""
    hands = await _hands(open_world)
    world = hands.world
    await _offer(world)
    (first,) = await world.rows(data_keys)
    await world.execute(lambda c: c.execute(data_keys.delete()))
    hands.clock.advance(11)
    await _offer(world)
    assert [row["id"] for row in await world.rows(data_keys)] == [first["id"]]


# -- switching on, changing, switching off --------------------------------------------------


async def test_old_plain_rows_still_pay_and_are_brought_under_the_key(
    open_world: OpenWorld,
) -> None:
    """Accepted without a key, paid with one; a rekey leaves no plain value, and the file forgets
    the account once it is vacuumed."""
    world = await open_world()
    first = await world.local()
    old = [await _offer(world) for _ in range(3)]
    await world.settle()
    await first.stop()
    assert set(await _use(world)) == {""}

    node = await world.local(DATA_KEY=KEY)
    new = await _offer(world)
    await world.settle()
    assert set(await _use(world, KEY)) == {"", KEY}
    run = await RekeyAll(node.app.database, node.app.committer)()
    assert (run.unreadable, run.forgotten) == (0, [])
    assert set(await _use(world, KEY)) == {KEY}
    await node.stop()
    await world.assert_right()
    if parse(world.url).dialect == "sqlite":
        await world.execute(_vacuum)
        await world.reconnect()
        found = await _everything(world)
        assert not [account for _, account in (*old, new) if account.encode() in found]


def _vacuum(connection: Connection) -> None:
    connection.exec_driver_sql("COMMIT")
    connection.exec_driver_sql("VACUUM")
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.exec_driver_sql("BEGIN")


async def test_the_key_is_changed_while_orders_run(open_world: OpenWorld) -> None:
    """Orders under way under the old key are paid by a node with the new one, while everything is
    brought under it; then the old key is not needed any more. Without a key everything comes back
    into the clear."""
    world = await open_world()
    first = await world.local(DATA_KEY=KEY)
    slow = [await _offer(world, bank_faults=[BankFault.QUEUED]) for _ in range(4)]
    for order_id, _ in slow:
        await world.reaches(order_id, {State.PROCESSING, State.PAID, State.FULFILLED})
    await first.stop()

    node = await world.local(DATA_KEY=NEXT_KEY, DATA_KEY_PREVIOUS=KEY)
    rekey = RekeyAll(node.app.database, node.app.committer)

    async def offers_meanwhile() -> list[tuple[str, str]]:
        return [await _offer(world) for _ in range(6)]

    made, run = await asyncio.gather(offers_meanwhile(), rekey())
    await world.settle()
    assert run.unreadable == 0
    assert run.forgotten == [Cipher(KEY).current_id]
    assert set(await _use(world, NEXT_KEY)) == {NEXT_KEY}
    await node.stop()

    last = await world.local(DATA_KEY=NEXT_KEY)
    await _offer(world)
    await world.settle()
    await world.assert_right()
    paid = sorted(one.account_number for one in world.bank.transfers.values())
    assert len(paid) == len(set(paid)) == len(slow) + len(made) + 1
    await last.stop()

    clear = await world.idle(DATA_KEY_PREVIOUS=NEXT_KEY)
    await RekeyAll(clear.app.database, clear.app.committer)()
    await clear.stop()
    assert set(await _use(world)) == {""}
    assert await world.rows(data_keys) == []
    (row, *_) = await world.rows(payouts)
    assert row["recipient"]["account_name"] == NAME
    await world.idle()


async def test_a_node_without_the_key_does_not_start(open_world: OpenWorld) -> None:
    """With another key, or with none, the start is refused and says which key is needed."""
    world = await open_world()
    node = await world.local(DATA_KEY=KEY)
    await _offer(world)
    await world.settle()
    await node.stop()
    needed = Cipher(KEY).current_id
    assert needed is not None
    wrong: tuple[dict[str, str], ...] = (
        {},
        {"DATA_KEY": NEXT_KEY},
        {"DATA_KEY_PREVIOUS": NEXT_KEY},
    )
    for env in wrong:
        app = await build(load(world.environment(**env), env_file=None))
        with pytest.raises(ConfigurationError) as refused:
            await app.open()
        assert needed in refused.value.faults[0]
        assert "DATA_KEY_PREVIOUS" in refused.value.faults[0]


async def test_a_found_transfer_that_cannot_be_read_is_held(open_world: OpenWorld) -> None:
    """Adopted after a restore with an account nobody can compare: a person looks."""
    hands = await _hands(open_world)
    world = hands.world
    order_id, _ = await _offer(world)
    row = await hands.accepted(order_id)
    lost = {
        "id": "ftr_1",
        "psp": "lenco",
        "reference": f"{row['reference']}-01",
        "order_reference": row["reference"],
        "number": 1,
        "outcome": "succeeded",
        "certain": False,
        "currency": "NGN",
        "amount": row["amount"],
        "account_number": _broken(KEY),
        "found_at": 1,
    }
    await world.execute(lambda c: c.execute(found_transfers.insert().values(lost)))
    await hands.payout(order_id, "disburse:lenco")
    held = await hands.payout(order_id, "adopt")
    assert held["state"] == State.HELD
    assert "found_transfers.account_number" in held["reason_text"]


async def test_keys_belong_to_a_connection(open_world: OpenWorld) -> None:
    """Two keys in one process do not open each other's values, whatever was opened before."""
    hands = await _hands(open_world, AGGREGATOR_DIALECT="spec")
    order_id, account = await _offer(hands.world, dialect="spec")
    other = open_database(parse(hands.world.url), SystemClock(), cipher=Cipher(NEXT_KEY))

    def recipient(connection: Connection) -> Any:
        row = find_payout(connection, order_id)
        assert row is not None
        return cipher_of(connection).shown(row, payouts)["recipient"]

    own = hands.node.app.database
    for read in (own.read, own.fetch, own.write):
        assert (await read(recipient))["account_identifier"] == account
    for read in (other.read, other.fetch, other.write):
        assert await read(recipient) == {}
    await other.close()
