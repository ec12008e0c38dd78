"""The ASGI application for any server: ``tidegate.cli.asgi:create`` (a factory).

It reads the settings from the environment as ``tidegate serve`` does. With ``TIDEGATE_NO_WORKER``
set it only answers requests.
"""

from __future__ import annotations

import os

from fastapi import FastAPI

from tidegate.cli.serve import NO_WORKER, SHARED_PORT, configure_logs, serve_app, watch
from tidegate.settings import load

__all__ = ["create"]


def create() -> FastAPI:
    """Build the application; its worker starts and stops with it."""
    settings = load()
    configure_logs(settings)
    watch(settings)
    return serve_app(
        settings,
        works=os.environ.get(NO_WORKER, "") == "",
        shares_port=os.environ.get(SHARED_PORT, "") != "",
    )
