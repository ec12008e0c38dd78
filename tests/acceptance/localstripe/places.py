"""Where a flow runs: before which processor, on which database, and how the node gets its news."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pytest

from tests.acceptance.counterparty.node import migrate
from tests.acceptance.localstripe.limits import LIMITS
from tests.acceptance.localstripe.processors import PROCESSORS, LocalStripe, Sandbox
from tests.acceptance.localstripe.shop import Mode, Shop
from tests.conftest import _RUN
from tests.support.databases import Databases, PostgresqlDatabases, SqliteDatabases
from tests.support.server import run_server

__all__ = ["FLOWS", "Place", "Shops", "flow", "places_of"]

FLOWS: Final[dict[str, tuple[Mode, tuple[str, ...]]]] = {}
"""By the name of the test: the mode, and the databases that it runs on."""

_Flow = TypeVar("_Flow", bound=Callable[..., None])


class Place(NamedTuple):
    """Where a flow runs."""

    processor: str
    database: str
    mode: Mode


class Shops:
    """The shops of the mode that is being tested; another mode ends them."""

    def __init__(self, config: pytest.Config, directories: pytest.TempPathFactory) -> None:
        self._run = config.stash[_RUN]
        self._directories = directories
        self._open: dict[Place, tuple[Shop, Databases]] = {}

    def get(self, place: Place) -> Shop:
        """Started at the first demand."""
        if any(known.mode is not place.mode for known in self._open):
            self.close()
        if place not in self._open:
            directory = self._directories.mktemp(place.processor)
            databases = self._databases(place, directory)
            url = databases.from_template("counterparty", migrate)
            shop = Shop(directory, PROCESSORS[place.processor](directory), url, place.mode)
            # Noted first: what is half open is closed as well.
            self._open[place] = shop, databases
            try:
                shop.start()
            except BaseException:
                sys.stderr.write(shop.tail())
                self.close()
                raise
        return self._open[place][0]

    def close(self) -> None:
        opened = list(self._open.values())
        self._open.clear()
        # At the same time, because each takes a moment to end well.
        with ThreadPoolExecutor(max(1, len(opened))) as pool:
            list(pool.map(lambda shop: shop.close(), [shop for shop, _ in opened]))
        for _, databases in opened:
            databases.drop_all()

    def _databases(self, place: Place, directory: Path) -> Databases:
        if place.database == "sqlite":
            return SqliteDatabases(directory, self._run)
        server = os.environ.get("TIDEGATE_TEST_DATABASE_URL") or run_server(self._run)
        return PostgresqlDatabases(server, self._run)


def flow(mode: Mode, *, postgresql: bool = False) -> Callable[[_Flow], _Flow]:
    """A flow of ``mode``, before every processor that plays it; before localstripe on PostgreSQL
    too."""

    def mark(test: _Flow) -> _Flow:
        FLOWS[test.__name__] = (mode, ("sqlite", "postgresql") if postgresql else ("sqlite",))
        return test

    return mark


def places_of(test: str) -> list[Place]:
    """Every place where a flow runs; not those that ``LIMITS`` excuses."""
    mode, databases = FLOWS[test]
    excused = {LocalStripe.name} if test.removeprefix("test_") in LIMITS else set()
    return [
        Place(processor, database, mode)
        for database in databases
        for processor in PROCESSORS
        if processor not in excused and (database, processor) != ("postgresql", Sandbox.name)
    ]
