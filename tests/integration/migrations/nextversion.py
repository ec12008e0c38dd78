"""A version of the program that does not exist yet: this one with more migrations."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

__all__ = ["EXPANDS", "NARROWS", "add_migrations", "copy_migrations", "migration"]


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
    shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def add_migrations(place: Path, files: Mapping[str, str]) -> None:
    """Revision and text of each."""
    for revision, content in files.items():
        (place / "versions" / f"{revision}_next.py").write_text(content, encoding="utf-8")


EXPANDS = {
    "up": 'op.add_column("payouts", sa.Column("channel", sa.Text(), nullable=True))',
    "down": 'op.drop_column("payouts", "channel")',
}
"""A column that the next version writes."""

NARROWS = {
    "up": (
        'op.execute("ALTER TABLE payouts ADD CONSTRAINT ck_payouts_channel "\n'
        '        "CHECK (channel IS NOT NULL) NOT VALID") '
        'if op.get_context().dialect.name == "postgresql" else None'
    ),
    "down": (
        'op.execute("ALTER TABLE payouts DROP CONSTRAINT ck_payouts_channel") '
        'if op.get_context().dialect.name == "postgresql" else None'
    ),
}
"""Every new row has to have it, which an older version does not give it."""
