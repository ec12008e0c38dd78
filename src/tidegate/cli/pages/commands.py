"""``docs/commands.md``: every command and option of ``tidegate``, read from the application."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from tidegate.cli.app import app

__all__ = ["commands_page", "every_command"]

_INTRODUCTION = """\
# Commands

`tidegate COMMAND --help` says the same at the terminal. Settings come from the environment and
`.env` ([configuration](configuration.md)). This page is generated from the application
(`python -m tidegate.cli.pages`).

Exit codes: 0, it worked; 1, it did not, or what was checked is not right; 2, the command line or
the configuration is wrong. Errors are sentences on standard error ([errors](errors.md)).
"""


def commands_page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def every_command() -> Iterator[tuple[tuple[str, ...], Any]]:
    """(words, command) of every command that can be run or holds others, ``tidegate`` first."""
    yield from _walk(("tidegate",), get_command(app))


def _walk(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    if isinstance(command, TyperGroup):
        context = Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _walk((*words, name), child)


def _sections() -> Iterator[str]:
    for words, command in every_command():
        shown = [parameter for parameter in command.params if not parameter.hidden]
        arguments = [each for each in shown if each.param_type_name == "argument"]
        options = [each for each in shown if each.param_type_name == "option"]
        usage = " ".join([*words, *(_argument(each) for each in arguments)])
        if isinstance(command, TyperGroup):
            usage += " COMMAND"
        yield f"{'#' * min(4, len(words) + 1)} `{usage}`\n"
        if command.help:
            yield f"{inspect.cleandoc(command.help)}\n"
        if arguments or options:
            yield "| write | default | meaning |\n|---|---|---|"
            for each in (*arguments, *options):
                written = _argument(each) if each in arguments else _option(each)
                yield f"| `{written}` | {_default(each)} | {_cell(each.help)} |"
            yield ""


def _argument(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper().strip("[]")
    many = "..." if argument.nargs != 1 else ""
    return f"{name}{many}" if argument.required else f"[{name}]{many}"


def _option(option: Any) -> str:
    names = ", ".join(option.opts)
    if option.secondary_opts:
        names += " / " + ", ".join(option.secondary_opts)
    return names if option.is_flag else f"{names} {option.metavar or 'VALUE'}"


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "**needed**"
    if value in (None, "", [], ()) or isinstance(value, bool) or callable(value):
        return ""
    return _cell(f"`{value:g}`" if isinstance(value, float) else f"`{value}`")


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
