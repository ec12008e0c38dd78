"""Does this code run on that schema? The rule, and the record that it reads.

Code has the revision of its newest migration. It runs on a schema

- of its own revision;
- that is newer, if the oldest code that still runs on it is known to this code: every migration
  writes that down beside its revision, in the same transaction;
- that is older, from ``OLDEST_SCHEMA`` on: while a contract migration is still to come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
    text,
)

from tidegate import __version__
from tidegate.migrations.revisions import Chain, chain

__all__ = [
    "OLDEST_SCHEMA",
    "Code",
    "Fit",
    "Schema",
    "fit",
    "others_that_run",
    "our_code",
    "our_mark",
    "read_schema",
    "write_record",
]

OLDEST_SCHEMA = "0005"
"""The oldest schema that this code runs on. It follows every migration that the code needs, and
stays where it is for one that only takes away what the code no longer uses."""

# Beside Alembic's own table and, like it, no part of the models.
_record = Table(
    "schema_record",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("oldest_code", String(64), nullable=False),
    Column("migrated_by", String(64), nullable=False),
)

_MARK = re.compile(r" code=(\w+) schema>=(\w+)$")


@dataclass(frozen=True, slots=True)
class Code:
    """A program: the revisions it knows, oldest first, and the oldest schema that it runs on."""

    revisions: tuple[str, ...]
    oldest_schema: str

    @property
    def revision(self) -> str:
        return self.revisions[-1]


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database says: its revision (``None``: empty), and who may run on it."""

    revision: str | None
    oldest_code: str | None = None
    migrated_by: str = ""


class Fit(StrEnum):
    """How the schema stands to the code."""

    OK = "ok"
    BEHIND = "behind"
    AHEAD = "ahead"


def our_code() -> Code:
    """This program."""
    return Code(chain().revisions, OLDEST_SCHEMA)


def fit(schema: Schema, code: Code) -> Fit:
    """May ``code`` run on ``schema``?"""
    if schema.revision is None:
        return Fit.BEHIND
    if schema.revision in code.revisions:
        place = code.revisions.index
        return Fit.OK if place(schema.revision) >= place(code.oldest_schema) else Fit.BEHIND
    # Newer than the code. Who is told nothing runs on its own schema only.
    return Fit.OK if schema.oldest_code in code.revisions else Fit.AHEAD


def sentence(schema: Schema, code: Code) -> str:
    """What stands against it, and what to do. Begins in the middle: "<the database> has ..."."""
    if schema.revision is None:
        return "has no schema yet: run `tidegate migrate`."
    if fit(schema, code) is Fit.BEHIND:
        return (
            f"has schema {schema.revision}, and this version needs {code.oldest_schema} or newer: "
            "run `tidegate migrate` with this version, then start it."
        )
    by = f" (migrated by Tidegate {schema.migrated_by})" if schema.migrated_by else ""
    needs = f", on which code of {schema.oldest_code} or newer runs" if schema.oldest_code else ""
    return (
        f"has schema {schema.revision}{by}{needs}, and this version has {code.revision}: start "
        f"the newer version, or take the schema down with it first (`tidegate migrate --down-to "
        f"{code.revision}`)."
    )


def read_schema(connection: Connection) -> Schema:
    """What the database says of its schema."""
    there = inspect(connection)
    if not there.has_table("alembic_version"):
        return Schema(None)
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is None or not there.has_table(_record.name):
        return Schema(revision)
    row = connection.execute(select(_record)).first()
    return Schema(revision) if row is None else Schema(revision, row.oldest_code, row.migrated_by)


def write_record(connection: Connection, known: Chain, revision: str | None) -> None:
    """Note who may run on the schema of ``revision``, in the transaction that makes it."""
    if revision is None:
        _record.drop(connection, checkfirst=True)
        return
    _record.create(connection, checkfirst=True)
    connection.execute(delete(_record))
    connection.execute(
        insert(_record).values(
            id=1, oldest_code=known.oldest_code(revision), migrated_by=__version__
        )
    )


def our_mark() -> str:
    """What the connections of a process that serves carry in their name (PostgreSQL)."""
    return f" code={our_code().revision} schema>={OLDEST_SCHEMA}"


def others_that_run(connection: Connection) -> list[Code]:
    """The code of each connection to this database that carries a mark (PostgreSQL)."""
    if connection.dialect.name != "postgresql":
        return []
    # Within a transaction the server tells what it told before, unless it is asked to forget.
    connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    names = connection.execute(
        text("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
    ).scalars()
    marks = [match for name in names if (match := _MARK.search(name or ""))]
    known = chain()
    found = []
    for revision, oldest_schema in (match.groups() for match in marks):
        if revision in known.revisions:
            revisions = tuple(one.revision for one in known.up_to(revision))
        else:  # newer than this program
            revisions = (*known.revisions, revision)
        if oldest_schema not in revisions:
            oldest_schema = revision
        found.append(Code(revisions, oldest_schema))
    return found
