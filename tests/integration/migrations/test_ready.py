"""A process that serves while the schema changes under it says at ``/ready`` how it stands."""

from __future__ import annotations

from functools import partial

import aiohttp
import pytest
from sqlalchemy import Connection, text

from tests.support import world as worlds
from tests.support.world import OpenWorld
from tidegate import migrations

open_world = worlds.open_world
NEWER = "UPDATE alembic_version SET version_num = '0990'"


def _run(statement: str, connection: Connection) -> None:
    connection.execute(text(statement))


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ((), 200, "ok"),
        ((NEWER,), 200, "ok"),
        ((NEWER, "UPDATE schema_record SET oldest_code = '0990'"), 503, "ahead"),
        ((NEWER, "DELETE FROM schema_record"), 503, "ahead"),
        (("UPDATE alembic_version SET version_num = '0001'",), 503, "behind"),
        (("DELETE FROM alembic_version",), 503, "behind"),
    ],
)
async def test_ready_reads_the_schema_each_time(
    open_world: OpenWorld, changes: tuple[str, ...], status: int, says: str
) -> None:
    """A newer schema on which this code runs is no reason to send it no requests; one on which it
    does not run is."""
    world = await open_world()
    node = await world.idle()
    for change in changes:
        await world.execute(partial(_run, change))
    async with aiohttp.ClientSession(node.url) as session:
        answer = await session.get("/ready")
        checks = (await answer.json())["data"]["checks"]
    assert (answer.status, checks["migrations"]) == (status, says), migrations.head()
