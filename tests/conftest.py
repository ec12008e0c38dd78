"""Fixtures for every test: databases of both kinds, and a guard on the network.

PostgreSQL comes from ``TIDEGATE_TEST_DATABASE_URL`` (a role that may create databases), else
from the wheel in the development lock; it is started when the first test asks for it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
import structlog

from tests.support.databases import Databases, PostgresqlDatabases, Prepare, SqliteDatabases
from tests.support.network import NetworkGuard
from tests.support.scratch import use_memory
from tests.support.server import RunDirectory, run_server

_SERVER_URL = os.environ.get("TIDEGATE_TEST_DATABASE_URL")
_RUN = pytest.StashKey[RunDirectory]()
_HANDED_OVER = "tidegate_run_directory"

use_memory()

# A busy machine is no fault of the code; the blob repeats a failure elsewhere.
hypothesis.settings.register_profile("tidegate", deadline=None, print_blob=True)
hypothesis.settings.load_profile("tidegate")


def pytest_configure(config: pytest.Config) -> None:
    """The controller of parallel workers owns the run's directory; the workers are told of it."""
    handed_over: dict[str, Any] | None = getattr(config, "workerinput", None)
    if handed_over is None:
        config.stash[_RUN] = RunDirectory.own()
    else:
        config.stash[_RUN] = RunDirectory(Path(handed_over[_HANDED_OVER]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coverage is not measured again where SQLite ran the same test: measuring doubles the time."""
    ids = {item.nodeid for item in items}
    for item in items:
        twin = item.nodeid.replace("postgresql", "sqlite")
        if twin != item.nodeid and twin in ids:
            item.add_marker("no_cover")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist for each worker before it starts."""
    node.workerinput[_HANDED_OVER] = str(node.config.stash[_RUN].path)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Reached after an interrupt too; what ends pytest harder ends the server by its watcher."""
    run = config.stash.get(_RUN, None)
    if run is None or hasattr(config, "workerinput"):
        return
    if _SERVER_URL:
        PostgresqlDatabases.drop_templates(_SERVER_URL, run)
    run.close()


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program that a test runs in this process sets the logs up for itself. Without this the next
    test would hear what is loud enough for that one, and from loggers that were kept, nothing."""
    before, configure = structlog.get_config(), structlog.configure

    def configure_for_now(**more: Any) -> None:
        configure(**{**more, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configure_for_now)
    yield
    configure(**before)


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(
    request: pytest.FixtureRequest, tmp_path: Path, network_guard: NetworkGuard
) -> Iterator[Databases]:
    """The test's own databases, once for each kind that Tidegate runs on."""
    run = request.config.stash[_RUN]
    source: Databases
    if request.param == "sqlite":
        source = SqliteDatabases(tmp_path, run)
    else:
        source = PostgresqlDatabases(_SERVER_URL or run_server(run), run)
    yield source
    source.drop_all()


@pytest.fixture
def database_url(databases: Databases) -> str:
    """The URL of a fresh and empty database, ``sqlite:///...`` or ``postgresql://...``."""
    return databases.empty()


@pytest.fixture
def make_template(databases: Databases) -> Callable[[str, Prepare], Callable[[], str]]:
    """``make_template(name, prepare)`` returns a function that gives the URL of a fresh clone.

    ``prepare(url)`` runs once per test run and kind of database, in a thread without an event
    loop, and closes its connections before it returns.
    """

    def make(name: str, prepare: Prepare) -> Callable[[], str]:
        return lambda: databases.from_template(name, prepare)

    return make


@pytest.fixture(scope="session")
def _allowed_hosts() -> frozenset[str]:
    """The database server that the environment names may be elsewhere."""
    host = urlsplit(_SERVER_URL).hostname if _SERVER_URL else None
    if host is None:
        return frozenset()
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return frozenset({host, *(str(address[0]) for *_, address in found)})


@pytest.fixture(autouse=True)
def network_guard(
    monkeypatch: pytest.MonkeyPatch, _allowed_hosts: frozenset[str]
) -> Iterator[NetworkGuard]:
    """Every test stays on this machine, even one whose code catches what the guard raises."""
    guard = NetworkGuard(_allowed_hosts)
    guard.install(monkeypatch)
    yield guard
    if guard.attempts:
        pytest.fail(f"tried to reach {', '.join(guard.attempts)}")
