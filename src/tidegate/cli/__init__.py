"""The command line: one Typer application, a file per family of commands."""

from __future__ import annotations

import sys

from tidegate.cli.app import app
from tidegate.errors import ConfigurationError, TidegateError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; our own errors are sentences on standard error, never a traceback."""
    try:
        app()
    except ConfigurationError as error:
        print("The configuration is not usable:", file=sys.stderr)
        for fault in error.faults:
            print(f"  - {fault}", file=sys.stderr)
        raise SystemExit(2) from None
    except TidegateError as error:
        print(error.detail, file=sys.stderr)
        raise SystemExit(1) from None
