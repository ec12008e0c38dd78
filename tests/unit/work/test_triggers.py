"""What APScheduler is used for: making rows due."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tidegate.workers.periodic import ScheduledTriggers


async def test_a_stop_that_cuts_a_trigger_short_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An orderly stop must not look like a fault: alerts count errors."""
    called, ended = asyncio.Event(), asyncio.Event()

    async def make_due() -> None:
        called.set()
        try:
            await asyncio.Event().wait()  # the database is slow
        finally:
            ended.set()

    triggers = ScheduledTriggers()
    triggers.every(0.02, make_due)
    triggers.start()
    async with asyncio.timeout(60):
        await called.wait()
        triggers.stop()
        await ended.wait()
    await asyncio.sleep(0.05)
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []
