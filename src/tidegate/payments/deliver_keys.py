"""After a rotation of ``SECRET_KEY``: the endpoints' secrets are encrypted under the current key.

Until this has run once everywhere, ``SECRET_KEY_PREVIOUS`` is needed to sign what is delivered.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.rows import Change
from tidegate.db.vault import Vault
from tidegate.errors import Stale
from tidegate.payments.announce import Amend
from tidegate.payments.deliver_store import Row
from tidegate.payments.tables import webhook_endpoints

__all__ = ["renew_secrets"]

_PAGE = 200

_e = webhook_endpoints.c
_secrets = (
    select(_e.id, _e.secret, _e.secret_previous)
    .where(_e.id > bindparam("after"), _e.state != "deleted")
    .order_by(_e.id)
    .limit(_PAGE)
)


async def renew_secrets(database: Database, committer: Committer, vault: Vault) -> int:
    """Encrypt anew what an earlier key encrypted; how many endpoints that were.

    Raises ``ConfigurationError`` when a secret cannot be read with any key of ours.
    """
    after, renewed = "", 0
    while rows := await _page(database, after):
        after = rows[-1]["id"]
        for row in rows:
            values = {
                name: vault.encrypt(vault.decrypt(row[name]))
                for name in ("secret", "secret_previous")
                if row[name] and not vault.is_current(row[name])
            }
            if not values:
                continue
            change = Change(
                webhook_endpoints, row["id"], values=values, expect={"secret": row["secret"]}
            )
            try:
                await committer.commit(Unit([Amend(change)]))
                renewed += 1
            except Stale:
                continue  # rotated or removed just now: what was written then is current
    return renewed


async def _page(database: Database, after: str) -> list[Row]:
    def read(connection: Connection) -> list[Row]:
        return [dict(row) for row in connection.execute(_secrets, {"after": after}).mappings()]

    return await database.fetch(read)
