"""Reads the SQL that a migration makes for PostgreSQL, and names what it must not do.

Two questions: does it hold a lock that stops a node that serves, and, for what calls itself an
expand, does it take away or forbid what the code of the revision before reads or writes? The SQL is
Alembic's offline output: what is executed, not how it is written.
"""

from __future__ import annotations

import io
import re
from typing import Any, NamedTuple

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from tidegate.migrations.revisions import Kind

__all__ = ["BUILDS_AN_INDEX", "faults_of", "statements_of"]

BUILDS_AN_INDEX = "create it CONCURRENTLY, alone"

_TABLE = r"(?:TABLE|ON)\s+(?:ONLY\s+|IF EXISTS\s+)?\"?(\w+)\"?"
_INDEX = r"INDEX CONCURRENTLY (?:IF (?:NOT )?EXISTS )?\"?(\w+)\"?"
_CONSTRAINT = r"{} CONSTRAINT \"?(\w+)\"?"
# PostgreSQL calls these anew for every row, so that it has to write the whole table.
_VOLATILE = r"(?:random|gen_random_uuid|clock_timestamp|nextval)\("


# PostgreSQL keeps a text of any length alike: without its limit only the catalogue changes
# (``test_locks.test_a_longer_text_is_no_other_table``).
_WIDENED = {"attempts.account_number", "found_transfers.account_number"}


class Rule(NamedTuple):
    """``instead`` is what to do. ``contract``: allowed to a migration that says it is one."""

    pattern: str
    instead: str
    contract: bool = False


# What may not be done in one step to a table that the running version reads and writes.
RULES: tuple[Rule, ...] = (
    Rule(r"ALTER COLUMN \S+ (?:SET DATA )?TYPE", "add a column, fill it, switch, drop it later"),
    Rule(r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)", BUILDS_AN_INDEX),
    Rule(r"DROP INDEX (?!CONCURRENTLY)", "drop it CONCURRENTLY, alone"),
    Rule(r"(?:CREATE|DROP).* INDEX CONCURRENTLY (?!IF )", "IF [NOT] EXISTS: it may die half way"),
    Rule(
        r"ADD CONSTRAINT (?!.*(?:NOT VALID|USING INDEX))", "add it NOT VALID and validate it later"
    ),
    Rule(r"ADD COLUMN (?=.*NOT NULL)(?!.*DEFAULT)", "give it a default, or let it be NULL"),
    Rule(rf"ADD COLUMN .*(?:{_VOLATILE}|STORED)", "it rewrites the table: let it be NULL, fill it"),
    Rule(r"RENAME", "nobody knows both names: add, fill, switch, drop later"),
    Rule(r"^(?:TRUNCATE|LOCK|CLUSTER|VACUUM)", "never in a migration"),
    Rule(r"ALTER COLUMN \S+ SET NOT NULL", "older code may write NULL there", contract=True),
    Rule(r"ALTER COLUMN \S+ DROP DEFAULT", "older code may leave it out", contract=True),
    Rule(r"DROP (?:TABLE|COLUMN|VIEW)", "the version before uses it", contract=True),
    Rule(r"CREATE UNIQUE INDEX", "it forbids what older code may write", contract=True),
    Rule(r"DROP INDEX", "older code may lean on it", contract=True),
    Rule(r"CREATE (?:\w+ )*TRIGGER", "it changes what older code writes", contract=True),
)


def statements_of(change: Any) -> list[str]:
    """The SQL for PostgreSQL, from Alembic's offline mode."""
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer}
    )
    with Operations.context(context):
        change()
    # A function's body is no statement of its own.
    whole = re.sub(r"\$\$.*?\$\$", "$$", buffer.getvalue(), flags=re.DOTALL)
    return [" ".join(one.split()) for one in whole.split(";") if one.strip()]


def faults_of(
    statements: list[str], kind: Kind = Kind.EXPAND, concurrently: tuple[str, ...] = ()
) -> list[str]:
    """Every breach of a rule, by statement; what the migration itself has made is free."""
    made: set[str] = set()
    found = []
    for statement in statements:
        table = re.search(_TABLE, statement)
        if statement.startswith("CREATE TABLE") and table:
            made.add(table[1])
        if table and table[1] in made:
            continue
        widened = re.match(r"ALTER TABLE (\w+) ALTER COLUMN (\w+) TYPE TEXT$", statement)
        if widened and ".".join(widened.groups()) in _WIDENED:
            continue
        for rule in RULES:
            if kind is Kind.CONTRACT and rule.contract:
                continue
            if re.search(rule.pattern, statement):
                found.append(f"{statement[:90]}: {rule.instead}")
    return [
        *found,
        *_faults_of_constraints(statements, kind, made),
        *_faults_of_what_is_aside(statements, concurrently),
    ]


def _faults_of_constraints(statements: list[str], kind: Kind, made: set[str]) -> list[str]:
    """A constraint is added, proven and leant on in three migrations: adding holds a lock that
    proving would keep for minutes. To replace one by a wider one of the same name is to expand."""
    old = [one for one in statements if not (t := re.search(_TABLE, one)) or t[1] not in made]
    added, dropped, proven = (
        {match[1] for one in old if (match := re.search(_CONSTRAINT.format(word), one))}
        for word in ("ADD", "DROP", "VALIDATE")
    )
    found = [f"{name}: validate it in the next migration" for name in sorted(added & proven)]
    if kind is Kind.EXPAND:
        lone = sorted(added ^ dropped)
        found += [f"{name}: it tightens, or older code leans on it" for name in lone]
    if any("SET NOT NULL" in one for one in old) and not proven:
        found.append("SET NOT NULL: validate a CHECK (... IS NOT NULL) first, else it reads it all")
    return found


def _faults_of_what_is_aside(statements: list[str], concurrently: tuple[str, ...]) -> list[str]:
    """What is done without a transaction does nothing else, and names its indexes."""
    indexes = [match[1] if (match := re.search(_INDEX, one)) else None for one in statements]
    if not concurrently and not any(indexes):
        return []
    if set(indexes) == set(concurrently):
        return []
    return [f"concurrently = {concurrently}: it has to name its indexes, and do nothing else"]
