"""Encryption of recipients' data: keys in use, longer accounts, what a webhook is about.

What it does to data: nothing. On PostgreSQL two columns of 64 characters become texts without a
limit: a mark in the catalogue, no row is read or written. Code of the revision before cannot read
what is encrypted, so it does not run on it. The downgrade loses the list of keys and is refused
while anything is encrypted: bring it into the clear first (``tidegate data rekey`` without
``DATA_KEY``).

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
# Code from before takes what is encrypted for plain, and no key tells it when there is any.
kind = "contract"
oldest_code = "0005"

# SQLite does not measure texts; changing a type there would copy the table.
_WIDENED = ("attempts", "found_transfers")


def upgrade() -> None:
    op.create_table(
        "data_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("first_used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_data_keys"),
    )
    op.add_column("inbox", sa.Column("about", sa.Text(), nullable=True))
    if op.get_context().dialect.name == "postgresql":
        for table in _WIDENED:
            op.alter_column(table, "account_number", type_=sa.Text())


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table in reversed(_WIDENED):
            op.alter_column(table, "account_number", type_=sa.String(length=64))
    op.drop_column("inbox", "about")
    op.drop_table("data_keys")
