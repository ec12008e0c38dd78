"""Quarantine after a restore, what has to be looked up in it, and transfers that were found.

What it does to data: nothing, it makes tables. The downgrade drops them, with everything in them:
a quarantine that lasts ends with it, so go down only after its release.

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
kind = "expand"

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "quarantines",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("backup", JSON, nullable=False),
        sa.Column("listed_at", sa.BigInteger(), nullable=True),
        sa.Column("result", JSON, nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("released_by", sa.String(length=64), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.Column("forced", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantines"),
    )
    op.create_table(
        "quarantine_orders",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("quarantine_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("not_found", sa.Integer(), server_default="0", nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["quarantine_id"],
            ["quarantines.id"],
            name="fk_quarantine_orders_quarantine_id_quarantines",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine_orders"),
        sa.UniqueConstraint(
            "quarantine_id", "order_id", name="uq_quarantine_orders_quarantine_id_order_id"
        ),
    )
    op.create_index(
        "ix_quarantine_orders_state", "quarantine_orders", ["quarantine_id", "state"], unique=False
    )
    op.create_table(
        "found_transfers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("psp", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("order_reference", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("certain", sa.Boolean(), nullable=False),
        sa.Column("currency", sa.String(length=16), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("psp_id", sa.String(length=128), nullable=True),
        sa.Column("account_number", sa.String(length=64), nullable=True),
        sa.Column("bank_code", sa.String(length=64), nullable=True),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("payout_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["payout_id"], ["payouts.id"], name="fk_found_transfers_payout_id_payouts"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_found_transfers"),
        sa.UniqueConstraint("psp", "reference", name="uq_found_transfers_psp_reference"),
    )
    op.create_index(
        "ix_found_transfers_order_reference", "found_transfers", ["order_reference"], unique=False
    )


def downgrade() -> None:
    op.drop_table("found_transfers")
    op.drop_table("quarantine_orders")
    op.drop_table("quarantines")
