"""One world a module: a node in its own process between doubles written from the contracts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.acceptance.counterparty.node import migrate
from tests.acceptance.counterparty.world import World
from tests.conftest import _RUN
from tests.support.databases import Databases, PostgresqlDatabases, SqliteDatabases
from tests.support.server import run_server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module says in ``DATABASES`` on which kinds its world runs, in ``WORLD`` how it is."""
    if "world" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "DATABASES", ("sqlite",))
        metafunc.parametrize("world", kinds, indirect=True, scope="module")


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The module's world, opened on a fresh database."""
    run = request.config.stash[_RUN]
    directory = tmp_path_factory.mktemp("world")
    databases: Databases
    if request.param == "sqlite":
        databases = SqliteDatabases(directory, run)
    else:
        server = os.environ.get("TIDEGATE_TEST_DATABASE_URL") or run_server(run)
        databases = PostgresqlDatabases(server, run)
    url = databases.from_template("counterparty", migrate)
    built = World(directory, url, **getattr(request.module, "WORLD", {}))
    try:
        built.start()
        yield built
    except BaseException:
        sys.stderr.write(built.node.tail())
        raise
    finally:
        built.close()
        databases.drop_all()


@pytest.fixture(autouse=True)
def _judged(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test, hear what the counterparties have to complain of."""
    yield
    if "world" in request.fixturenames:
        request.getfixturevalue("world").judge()
