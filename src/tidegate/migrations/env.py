"""Alembic's entry: the connection is always given by :mod:`tidegate.migrations`."""

from __future__ import annotations

from alembic import context

from tidegate.migrations import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("Run `tidegate migrate`; alembic's own command has no connection here.")

context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
