"""Which code runs on which schema: the rule, the record, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, inspect, select, text

from tests.support.next_version import COLUMN, migration
from tidegate import __version__, migrations
from tidegate.clock import SystemClock
from tidegate.db.engine import Database, open_database
from tidegate.db.url import parse
from tidegate.errors import ConfigurationError
from tidegate.migrations import revisions
from tidegate.migrations.compatibility import (
    OLDEST_SCHEMA,
    Code,
    Fit,
    Schema,
    fit,
    others_that_run,
    read_schema,
    sentence,
)
from tidegate.migrations.revisions import Chain, Kind, Migration, chain

HEAD = migrations.head()
NEXT = "0090"
LAST = "0091"
BecomeNext = Callable[[dict[str, str]], None]


def _expand() -> dict[str, str]:
    return {NEXT: migration(NEXT, HEAD, **COLUMN)}


def _contract(oldest_code: str) -> dict[str, str]:
    return {
        LAST: migration(
            LAST,
            NEXT,
            up="pass",
            down="pass",
            kind="contract",
            more=f'oldest_code = "{oldest_code}"',
        )
    }


CODE = Code(("1", "2", "3", "4"), oldest_schema="3")


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (Schema(None), Fit.BEHIND),
        (Schema("2", "1"), Fit.BEHIND),
        (Schema("3", "1"), Fit.OK),
        (Schema("4", "1"), Fit.OK),
        (Schema("5", "4"), Fit.OK),
        (Schema("6", "1"), Fit.OK),
        (Schema("6", "5"), Fit.AHEAD),
        (Schema("5"), Fit.AHEAD),
    ],
)
def test_the_rule(schema: Schema, found: Fit) -> None:
    """Own schema; newer if its record names code that this one knows; older from OLDEST_SCHEMA."""
    assert fit(schema, CODE) is found


def test_what_is_refused_is_told_what_to_do() -> None:
    """Behind: migrate. Ahead: who migrated it, what it takes, and the way down."""
    assert "run `tidegate migrate`" in sentence(Schema(None), CODE)
    assert "needs 3 or newer: run `tidegate migrate`" in sentence(Schema("2", "1"), CODE)
    ahead = sentence(Schema("6", "5", "9.9.9"), CODE)
    assert "Tidegate 9.9.9" in ahead
    assert "code of 5 or newer" in ahead
    assert "--down-to 4" in ahead


def _one(revision: str, oldest_code: str | None = None) -> Migration:
    kind = Kind.EXPAND if oldest_code is None else Kind.CONTRACT
    return Migration(revision, kind, oldest_code, (), lambda: None)


def test_an_expand_leaves_the_oldest_code_as_it_was() -> None:
    """Only a contract raises it, and it stays raised."""
    known = Chain((_one("1"), _one("2"), _one("3", "2"), _one("4")))
    assert [known.oldest_code(one) for one in known.revisions] == ["1", "1", "2", "2"]


@pytest.mark.parametrize(
    ("more", "kind", "says"),
    [
        ("kind = None", "expand", "does not say what it is"),
        ("", "contract", "names its oldest_code"),
        (f'oldest_code = "{HEAD}"', "expand", "names its oldest_code"),
        ('oldest_code = "0999"', "contract", "is none of"),
    ],
)
def test_a_migration_says_what_it_is(
    become_next: BecomeNext, more: str, kind: str, says: str
) -> None:
    """Without that nobody could tell who runs on what it makes."""
    become_next({NEXT: migration(NEXT, HEAD, up="pass", down="pass", kind=kind, more=more)})
    with pytest.raises(ValueError, match=says):
        chain()


async def test_the_record_is_written_with_the_revision(
    database: Database, become_next: BecomeNext
) -> None:
    """Up and down, and for a database that was migrated before there was a record."""
    await migrations.upgrade(database)
    first = chain().oldest_code(HEAD)
    assert await database.read(read_schema) == Schema(HEAD, first, __version__)
    become_next(_expand())
    become_next(_contract(NEXT))
    await migrations.upgrade(database, to=NEXT)
    assert await database.read(read_schema) == Schema(NEXT, first, __version__)
    await migrations.upgrade(database)
    assert await database.read(read_schema) == Schema(LAST, NEXT, __version__)
    await migrations.downgrade(database, HEAD)
    assert await database.read(read_schema) == Schema(HEAD, first, __version__)
    await database.write(lambda c: c.execute(text("DROP TABLE schema_record")))
    assert await database.read(read_schema) == Schema(HEAD)
    await migrations.upgrade(database, to=HEAD)
    assert await database.read(read_schema) == Schema(HEAD, first, __version__)
    await migrations.downgrade(database, "base")
    assert not await database.read(lambda c: inspect(c).has_table("schema_record"))


async def test_an_older_version_leaves_a_newer_schema_as_it_is(
    database: Database, become_next: BecomeNext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on if it runs there, and is refused if not; in neither case it changes anything."""
    now = revisions.PLACE
    await migrations.upgrade(database)
    become_next(_expand())
    become_next(_contract(NEXT))
    later = revisions.PLACE
    await migrations.upgrade(database, to=NEXT)
    monkeypatch.setattr(revisions, "PLACE", now)
    before = await database.read(read_schema)
    assert await database.read(migrations.misfit) is None
    assert "newer than this version's" in await database.read(migrations.note)
    await migrations.upgrade(database)
    await database.write(migrations.upgrade_within)
    assert await database.read(read_schema) == before
    with pytest.raises(ConfigurationError, match="--down-to"):
        await migrations.downgrade(database, HEAD)
    monkeypatch.setattr(revisions, "PLACE", later)
    await migrations.upgrade(database)
    monkeypatch.setattr(revisions, "PLACE", now)
    before = await database.read(read_schema)
    assert await database.read(migrations.misfit) is not None
    with pytest.raises(ConfigurationError, match=f"code of {NEXT} or newer"):
        await migrations.upgrade(database)
    with pytest.raises(ConfigurationError, match=f"code of {NEXT} or newer"):
        await database.write(migrations.upgrade_within)
    assert await database.read(read_schema) == before


async def test_this_version_runs_on_its_oldest_schema(database: Database) -> None:
    """Every column that it reads is there, and what it does not know may be left out."""
    await migrations.upgrade(database, to=OLDEST_SCHEMA)
    assert await database.read(migrations.misfit) is None

    def unknown(connection: Connection) -> list[str]:
        there = inspect(connection)
        found = []
        for table in migrations.metadata.sorted_tables:
            connection.execute(select(table).limit(1))
            found += [
                f"{table.name}.{column['name']}"
                for column in there.get_columns(table.name)
                if column["name"] not in table.c
                and not column["nullable"]
                and column["default"] is None
            ]
        return found

    assert await database.read(unknown) == []


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_nothing_is_taken_from_a_process_that_is_connected(
    database: Database, database_url: str, become_next: BecomeNext
) -> None:
    """A contract waits for the end of older processes, and going down for that of newer ones. An
    expand waits for nobody."""
    await migrations.upgrade(database)
    older = open_database(parse(database_url).marked(migrations.our_mark()), SystemClock())
    try:
        await older.read(read_schema)
        become_next(_expand())
        become_next(_contract(NEXT))
        with pytest.raises(ConfigurationError, match=f"code {HEAD}"):
            await migrations.upgrade(database)
        assert await database.read(migrations.current) == NEXT  # what could be done was done
        (seen,) = await database.read(others_that_run)
        assert (seen.revision, seen.oldest_schema) == (HEAD, OLDEST_SCHEMA)
    finally:
        await older.close()
    await migrations.upgrade(database)
    newer = open_database(parse(database_url).marked(f" code={LAST} schema>={NEXT}"), SystemClock())
    try:
        await newer.read(read_schema)
        await migrations.downgrade(database, NEXT)
        with pytest.raises(ConfigurationError, match=f"code {LAST}"):
            await migrations.downgrade(database, HEAD)
        assert await database.read(migrations.current) == NEXT
    finally:
        await newer.close()
    await migrations.downgrade(database, HEAD)
