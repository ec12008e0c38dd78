"""What the documents tell people to type exists, and what they point at is there."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.docs.documents import DOCUMENTS, ROOT, name_of, shell_lines, without_code
from tidegate.api.app import make_app
from tidegate.api.deps import Deps
from tidegate.cli.app import app
from tidegate.cli.pages.commands import every_command

COMMANDS = {words[1:]: command for words, command in every_command()}
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
_CALL = re.compile(r"(?:`|^ *)(GET|POST|PATCH|DELETE) (/api/[\w/{}.-]+)", re.MULTILINE)
HAND_WRITTEN = [path for path in DOCUMENTS if name_of(path) != "docs/commands.md"]


def _resolve(words: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Split what follows ``tidegate`` into the command's words and the rest."""
    for count in range(len(words), -1, -1):
        if tuple(words[:count]) in COMMANDS:
            return tuple(words[:count]), words[count:]
    raise AssertionError("unreachable: the application itself has no words")


def faults_of(words: list[str]) -> list[str]:
    """What is wrong with ``tidegate words``."""
    name, rest = _resolve(words)
    command: Any = COMMANDS[name]
    if not name and rest[:1] not in (["--help"], ["--version"]):
        return [f"there is no command {words[0]}" if words else "no command is named"]
    options = {
        spelled: parameter
        for parameter in command.params
        for spelled in (*parameter.opts, *parameter.secondary_opts)
        if parameter.param_type_name == "option"
    }
    if "--help" in rest:
        return []
    faults, positional, left = [], 0, iter(rest)
    for word in left:
        if not word.startswith("-"):
            positional += 1
        elif (option := options.get(word.partition("=")[0])) is None:
            faults.append(f"{name} has no option {word}")
        elif not option.is_flag and "=" not in word and next(left, None) is None:
            faults.append(f"{word} wants a value")
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    needed = sum(each.required for each in arguments)
    most = sum(each.nargs if each.nargs > 0 else 99 for each in arguments)
    if hasattr(command, "commands"):
        faults.append(f"{name} is a family: name one of {sorted(command.commands)}")
    elif not needed <= positional <= most:
        faults.append(f"{name} takes {needed} to {most} arguments, not {positional}")
    return faults


def _checked(words: list[str]) -> list[str]:
    """What is wrong with a line of a shell block; the programs allowed there are few."""
    program, *rest = words
    match Path(program).name:
        case "tidegate":
            return faults_of(rest)
        case "make":
            return [word for word in rest if "=" not in word and word not in TARGETS]
        case "python":
            there = rest[:1] == ["-m"] and find_spec(rest[1]) is not None
            return [] if there else [f"there is no module {rest[1:2]}"]
        case "cp":
            return [] if (ROOT / rest[0]).is_file() else [f"there is no {rest[0]}"]
        case other:
            return [f"the test does not know {other}"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_command_of_a_shell_block_exists(path: Path) -> None:
    """Commands, options, number of arguments, make targets, modules and files are real."""
    lines = list(shell_lines(path, "sh"))
    assert {" ".join(line): _checked(line) for line in lines if _checked(line)} == {}


def test_the_readme_shows_commands() -> None:
    """The check above has something to check: set-up, both commands and everyday ones."""
    lines = [" ".join(line) for line in shell_lines(ROOT / "README.md")]
    assert {"make demo", "make test", "make setup"} <= set(lines)
    assert sum("tidegate" in line for line in lines) > 10


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=name_of)
def test_every_command_named_in_a_sentence_exists(path: Path) -> None:
    """`tidegate ...` in prose names a command; its arguments may be left out there."""
    named = re.findall(r"`tidegate ([^`]+)`", without_code(path.read_text()))
    unknown = [text for text in named if not _resolve(text.split())[0]]
    assert unknown == []


@pytest.mark.parametrize("words", sorted(COMMANDS), ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    """`--help` of each command works, without settings and without a database."""
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0, result.output


def _served() -> set[tuple[str, str]]:
    """Method and path of every call of the payment API, parameters as ``{}``."""

    async def start() -> Deps:
        raise AssertionError("only the routes are looked at")

    async def stop(_: Deps) -> None:
        raise AssertionError("it was never started")

    document: dict[str, Any] = make_app(start, stop).openapi()
    return {
        (method.upper(), re.sub(r"{[^}]*}", "{}", path))
        for path, operations in document["paths"].items()
        for method in operations
    }


def test_every_call_that_a_document_names_is_served() -> None:
    """`POST /api/...` in a sentence or an example is a call of the API, method and path."""
    served = _served()
    named = {
        (method, re.sub(r"{[^}]*}", "{}", path).rstrip(".")): name_of(document)
        for document in DOCUMENTS
        for method, path in _CALL.findall(document.read_text())
    }
    assert len(named) > 15
    assert {call: where for call, where in named.items() if call not in served} == {}


def _slugs(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_resolves(path: Path) -> None:
    """Links point at files, folders and headings of the repository that are there."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in _slugs(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    """A path under src, tests or docs in backticks is a path of the repository."""
    named = re.findall(r"`((?:src|tests|docs)/[\w./-]+)`", path.read_text())
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_every_document_is_reachable_from_the_readme() -> None:
    """No page is lost: the README links it or the folder it is in."""
    readme = (ROOT / "README.md").read_text()
    links = set(re.findall(r"\]\(([^)\s]+)\)", readme))
    lost = [
        name_of(path)
        for path in DOCUMENTS
        if path.is_relative_to(ROOT / "docs")
        and name_of(path) not in links
        and f"{name_of(path.parent)}/" not in links
    ]
    assert lost == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_document_names_a_machine_or_a_registry(path: Path) -> None:
    """Documents hold for every machine: no path of one, no package registry."""
    listed = (ROOT / ".ci" / "registry-addresses").read_text().split("\n")
    patterns = [*filter(None, listed), r"(?<!\w)/(home|root|Users|work|tmp)/", r"[A-Z]:\\"]
    text = path.read_text()
    assert [each for each in patterns if re.search(each, text, re.IGNORECASE)] == []
