"""Alembic, run over our own connections: upgrade, downgrade, and does this code run on the schema?

Every table module is imported here, so that ``metadata`` is whole and a test can compare the
models with what the migrations made.
"""

from __future__ import annotations

from sqlalchemy import Connection

from tidegate.cases import switches as _switches
from tidegate.cases import tables as _cases
from tidegate.db import data_keys, exchanges, idempotency, identity, inbox, quarantine
from tidegate.db.base import metadata
from tidegate.ledger import tables as _ledger
from tidegate.migrations.compatibility import Fit, fit, our_code, our_mark, read_schema, sentence
from tidegate.migrations.revisions import chain
from tidegate.migrations.runner import downgrade, upgrade, upgrade_within
from tidegate.payments import tables as _payments
from tidegate.payouts import tables as _payouts
from tidegate.users import tables as _users
from tidegate.work import tables as _work

__all__ = [
    "Fit",
    "current",
    "downgrade",
    "fit_of",
    "head",
    "metadata",
    "misfit",
    "note",
    "our_mark",
    "upgrade",
    "upgrade_within",
]

_TABLES = (
    _cases,
    _ledger,
    _payments,
    _payouts,
    _switches,
    _users,
    _work,
    data_keys,
    exchanges,
    idempotency,
    identity,
    inbox,
    quarantine,
)


def head() -> str:
    """The newest revision that this code knows: its own."""
    return chain().head


def current(connection: Connection) -> str | None:
    """The revision of the database; ``None`` before the first migration."""
    return read_schema(connection).revision


def fit_of(connection: Connection) -> Fit:
    """Does this code run on the database's schema?"""
    return fit(read_schema(connection), our_code())


def note(connection: Connection) -> str:
    """For a person: the schema, and how it stands to this code."""
    schema, code = read_schema(connection), our_code()
    if schema.revision is None:
        return "no schema, an empty database."
    if fit(schema, code) is not Fit.OK:
        return f"schema {schema.revision}, on which this version does not run."
    if schema.revision == code.revision:
        return f"schema {schema.revision}, this version's own."
    if schema.revision in code.revisions:
        return (
            f"schema {schema.revision}, on which this version runs; `tidegate migrate` brings "
            f"{code.revision} once no older version runs any more."
        )
    return f"schema {schema.revision}, newer than this version's {code.revision}, which runs on it."


def misfit(connection: Connection) -> str | None:
    """Why this code does not run on the database, and what to do; ``None`` if it does.

    Begins in the middle of a sentence whose subject is the database.
    """
    schema, code = read_schema(connection), our_code()
    return None if fit(schema, code) is Fit.OK else sentence(schema, code)
