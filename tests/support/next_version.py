"""A version of the program that does not exist yet: this one with more migrations.

Tests in one process add migrations to a copy of the folder. Tests with real processes run a copy of
the whole package, whose payouts have a column that this version does not know.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import tidegate
from tidegate import migrations

__all__ = [
    "COLUMN",
    "CONTRACTS",
    "EXPANDS",
    "NEXT",
    "add_migrations",
    "copy_migrations",
    "migration",
    "next_version",
]

_IGNORED = shutil.ignore_patterns("__pycache__")
NEXT = "9.1.0"
"""Its version."""


def migration(
    revision: str, after: str, *, up: str, down: str, kind: str = "expand", more: str = ""
) -> str:
    """The text of a file in ``versions/``."""
    return f'''"""A change of the tests.

What it does to data: what a test says.
"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{after}"
branch_labels = None
depends_on = None
kind = "{kind}"
{more}

def upgrade():
    {up}


def downgrade():
    {down}
'''


def copy_migrations(source: Path, place: Path) -> Path:
    """The folder of migrations, without what Python keeps beside it."""
    return Path(shutil.copytree(source, place, ignore=_IGNORED))


def add_migrations(place: Path, files: Mapping[str, str]) -> None:
    """Revision and text of each."""
    for revision, content in files.items():
        (place / "versions" / f"{revision}_next.py").write_text(content, encoding="utf-8")


# A column that the next version writes.
COLUMN = {
    "up": 'op.add_column("payouts", sa.Column("channel", sa.Text(), nullable=True))',
    "down": 'op.drop_column("payouts", "channel")',
}
_INDEX = {
    "up": (
        'op.create_index("ix_payouts_channel", "payouts", ["channel"], '
        "postgresql_concurrently=True, if_not_exists=True)"
    ),
    "down": 'op.drop_index("ix_payouts_channel", "payouts", postgresql_concurrently=True)',
    "more": 'concurrently = ("ix_payouts_channel",)',
}
# From now on every row has to have it, and what older versions write would not. On SQLite a
# constraint is not added to a table that exists; the migration is the same for who may run.
_DEMAND = {
    "up": """if op.get_context().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE payouts ADD CONSTRAINT ck_payouts_channel "
            "CHECK (channel IS NOT NULL) NOT VALID"
        )
    op.execute("UPDATE payouts SET channel = 'before' WHERE channel IS NULL")""",
    "down": """if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE payouts DROP CONSTRAINT ck_payouts_channel")""",
    "kind": "contract",
    "more": 'oldest_code = "0091"',
}

EXPANDS = {
    "0090": migration("0090", migrations.head(), **COLUMN),
    "0091": migration("0091", "0090", **_INDEX),
}
CONTRACTS = {"0092": migration("0092", "0091", **_DEMAND)}


def next_version(place: Path, *, contracts: bool = False) -> str:
    """Make it in ``place``; the ``PYTHONPATH`` that finds it before this one."""
    package = place / "tidegate"
    shutil.copytree(Path(tidegate.__file__).parent, package, ignore=_IGNORED)
    add_migrations(package / "migrations", EXPANDS | (CONTRACTS if contracts else {}))
    _rewrite(package / "__init__.py", r'__version__ = "[^"]+"', f'__version__ = "{NEXT}"')
    _rewrite(
        package / "migrations" / "compatibility.py",
        r'(?m)^OLDEST_SCHEMA = "\w+"',
        'OLDEST_SCHEMA = "0091"',
    )
    _rewrite(
        package / "payouts" / "tables.py",
        r'(    Column\("order_id", Id, nullable=False, unique=True\),\n)',
        r'\1    Column("channel", LongText, nullable=True, default="next"),\n',
    )
    here = (str(Path(one).resolve()) for one in sys.path)
    return os.pathsep.join([str(place), *here])


def _rewrite(file: Path, pattern: str, new: str) -> None:
    text, times = re.subn(pattern, new, file.read_text(encoding="utf-8"), count=1)
    assert times, f"{file.name} has no {pattern}"
    file.write_text(text, encoding="utf-8")
