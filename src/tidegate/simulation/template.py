"""The database that every run begins with: migrated, with one registered user. Made once."""

from __future__ import annotations

from pathlib import Path

from tidegate import migrations
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import InlineExecutor, open_database
from tidegate.db.url import parse
from tidegate.simulation.buyers import EMAIL, PASSWORD
from tidegate.users.login import Caller
from tidegate.users.make import make_users
from tidegate.users.rules import UserRules

__all__ = ["make_template"]

_NODE_ID = "5" * 32


async def make_template(path: Path, clock: Clock, rules: UserRules) -> str:
    """Write the file at ``path``; returns an access token of the user."""
    database = open_database(
        parse(f"sqlite:///{path}"), clock, executor=lambda name: InlineExecutor()
    )
    await migrations.upgrade(database, node_id=_NODE_ID)
    committer = Committer(database)
    committer.start()
    users = make_users(database, committer, clock, Randomness(clock, 0), rules)
    await users.accounts.register(EMAIL, PASSWORD)
    grant = await users.log_in(EMAIL, PASSWORD, Caller())
    await committer.stop()
    await database.close()
    return grant.access_token
