"""The event loop that a command or a process runs on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

__all__ = ["run"]

# A thread that writes to SQLite must not keep the event loop waiting for its turn.
_SWITCH_S = 0.0005


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on the fast event loop where there is one."""
    sys.setswitchinterval(_SWITCH_S)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
