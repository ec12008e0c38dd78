"""The node's identity: made once at the first migration, kept in the database (D4).

Every payout reference is derived from it, so it never comes from host, path or key; ``NODE_ID``
sets it again when a database is restored.
"""

from __future__ import annotations

import secrets

from sqlalchemy import Column, Connection, Integer, Table, insert, select, update

from tidegate.db.base import Id, metadata
from tidegate.errors import ConfigurationError

__all__ = ["make_node_id", "node_identity", "read_node_id", "write_node_id"]

node_identity = Table(
    "node_identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("node_id", Id, nullable=False),
)


def make_node_id() -> str:
    """A new identity: 128 random bits."""
    return secrets.token_hex(16)


def read_node_id(connection: Connection) -> str:
    """The node's identity. Raises ``ConfigurationError`` if the database has none."""
    found = connection.execute(select(node_identity.c.node_id)).scalar_one_or_none()
    if found is None:
        raise ConfigurationError(["The database has no node identity: run `tidegate migrate`."])
    return str(found)


def write_node_id(connection: Connection, node_id: str | None, *, fixed: bool) -> str:
    """Make the identity if there is none; with ``node_id``, set it. Returns what stands then.

    ``fixed``: payouts carry references made from the identity, so it may not change any more.
    Raises ``ConfigurationError``.
    """
    found = connection.execute(select(node_identity.c.node_id)).scalar_one_or_none()
    if found is None:
        made = node_id or make_node_id()
        connection.execute(insert(node_identity).values(id=1, node_id=made))
        return made
    if node_id is None or node_id == found:
        return str(found)
    if fixed:
        raise ConfigurationError(
            [
                f"NODE_ID is {node_id}, but this database holds payouts of node {found}: leave "
                "NODE_ID out, or use the database of that node."
            ]
        )
    connection.execute(update(node_identity).values(node_id=node_id))
    return node_id
