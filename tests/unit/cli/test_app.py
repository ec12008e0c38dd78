"""The commands of the application, each read when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.main import get_group
from typer.testing import CliRunner

from tidegate import cli
from tidegate.cli.app import FAMILIES, app

_HEAVY = ("fastapi", "uvicorn", "stripe", "aiohttp", "tidegate.simulation", "tidegate.bootstrap")


@pytest.mark.parametrize("file", FAMILIES)
def test_a_file_registers_the_commands_that_are_listed_for_it(file: str) -> None:
    """A command that is not listed could not be called."""
    family = typer.Typer()
    import_module(f"tidegate.cli.{file}").register(family)
    assert tuple(get_group(family).commands) == FAMILIES[file]


def test_every_file_that_registers_commands_is_listed() -> None:
    """A file that nobody lists is dead."""
    files = Path(*cli.__path__).glob("*.py")
    registering = {file.stem for file in files if "\ndef register(app:" in file.read_text("utf-8")}
    assert registering == FAMILIES.keys()


def test_what_may_be_meant_is_said_of_an_unknown_command() -> None:
    """Though its file was not read; the exit code is that of a wrong command line."""
    ran = CliRunner().invoke(app, ["balance"])
    assert ran.exit_code == 2
    assert "'balances'" in ran.output


def test_a_reading_command_does_not_import_what_serves() -> None:
    """An operator's question is answered at once, not after the whole program was read."""
    asked = f"""
import sys
sys.argv = ["tidegate", "ledger", "audit", "--help"]
from tidegate.cli import main
try:
    main()
except SystemExit:
    print(sorted(set(sys.modules).intersection({_HEAVY!r})))
"""
    ran = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"
