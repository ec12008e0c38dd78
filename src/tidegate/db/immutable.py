"""Tables that only grow: the DDL of triggers that refuse everything but INSERT and SELECT.

The statements are for migrations, which execute them one by one. They stop mistakes and casual
edits; who may drop a trigger can do anything, and for that there is the ledger's audit.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table

__all__ = ["append_only_ddl", "drop_append_only_ddl"]


def append_only_ddl(dialect: str, tables: Iterable[Table]) -> list[str]:
    """Statements that make ``tables`` refuse UPDATE and DELETE, on PostgreSQL TRUNCATE as well."""
    return [
        statement
        for table in tables
        for statement in (
            _postgresql(table.name) if dialect == "postgresql" else _sqlite(table.name)
        )
    ]


def drop_append_only_ddl(dialect: str, tables: Iterable[Table]) -> list[str]:
    """Statements that take the triggers away again."""
    return [
        statement
        for table in tables
        for statement in (
            [
                f"DROP TRIGGER {table.name}_append_only ON {table.name}",
                f"DROP FUNCTION {table.name}_refuse()",
            ]
            if dialect == "postgresql"
            else [f"DROP TRIGGER {table.name}_no_{action}" for action in ("update", "delete")]
        )
    ]


def _postgresql(table: str) -> list[str]:
    return [
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{table} only grows: % is refused', TG_OP; END $$",
        # For each statement: refuses even what would touch no row, and knows TRUNCATE.
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()",
    ]


def _sqlite(table: str) -> list[str]:
    return [
        f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} only grows: {action} is refused'); END"
        for action in ("UPDATE", "DELETE")
    ]
