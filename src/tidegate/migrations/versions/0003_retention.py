"""Retention and erasure: indexes by age, and when a person was forgotten.

What it does to data: nothing; it adds a column that may be empty, and indexes. Building an index
blocks writes to its table meanwhile (PostgreSQL): some seconds for a few million rows. The code of
the revision before runs on it unchanged. The downgrade drops them; erased accounts stay erased,
but are no longer told from disabled ones.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
kind = "expand"

_INDEXES = (
    ("ix_exchanges_at", "exchanges", "at"),
    ("ix_observations_at", "observations", "at"),
    ("ix_deliveries_created_at", "deliveries", "created_at"),
    ("ix_sessions_expires_at", "sessions", "expires_at"),
)


def upgrade() -> None:
    op.add_column("users", sa.Column("erased_at", sa.BigInteger(), nullable=True))
    for name, table, column in _INDEXES:
        op.create_index(name, table, [column], unique=False)


def downgrade() -> None:
    for name, table, _ in reversed(_INDEXES):
        op.drop_index(name, table)
    op.drop_column("users", "erased_at")
