"""The command line: one Typer application, a file per family of commands."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from tidegate.errors import ConfigurationError, TidegateError

__all__ = ["main"]

_APP = "tidegate.cli.app"


def main() -> None:
    """Run the command line; our own errors are sentences on standard error, never a traceback."""
    if _APP not in sys.modules:
        # Imports leave no garbage: looking for it meanwhile is a seventh of a command's start, and
        # what they made need not be looked at again.
        gc.disable()
        import_module(_APP)
        gc.freeze()
        gc.enable()
    try:
        sys.modules[_APP].app()
    except ConfigurationError as error:
        print("The configuration is not usable:", file=sys.stderr)
        for fault in error.faults:
            print(f"  - {fault}", file=sys.stderr)
        raise SystemExit(2) from None
    except TidegateError as error:
        print(error.detail, file=sys.stderr)
        raise SystemExit(1) from None
