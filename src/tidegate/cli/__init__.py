"""The command line: one Typer application, a file per family of commands."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from types import ModuleType

from tidegate.errors import ConfigurationError, TidegateError

__all__ = ["imported", "main"]


def main() -> None:
    """Run the command line; our own errors are sentences on standard error, never a traceback."""
    try:
        imported("tidegate.cli.app").app()
    except ConfigurationError as error:
        print("The configuration is not usable:", file=sys.stderr)
        for fault in error.faults:
            print(f"  - {fault}", file=sys.stderr)
        raise SystemExit(2) from None
    except TidegateError as error:
        print(error.detail, file=sys.stderr)
        raise SystemExit(1) from None


def imported(name: str) -> ModuleType:
    """A module by its name.

    Imports leave no garbage: looking for it meanwhile is a seventh of a command's start, and what
    they made need not be looked at again.
    """
    if name not in sys.modules:
        gc.disable()
        try:
            import_module(name)
        finally:
            gc.freeze()
            gc.enable()
    return sys.modules[name]
