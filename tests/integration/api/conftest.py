"""The face of the payment API, and what it says in its logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.integration.api.face import Face, opened


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """Every event of our own loggers, before redaction could take anything out."""
    with capture_logs() as found:
        yield found


@pytest_asyncio.fixture
async def face(logs: list[MutableMapping[str, Any]]) -> AsyncIterator[Face]:
    async with opened() as found:
        yield found
