"""Reading the documents of the repository, for the tests beside this file."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "src" / "tidegate"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    """The prose: fenced blocks taken out."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def shell_lines(path: Path, kinds: str = "sh|console") -> Iterator[list[str]]:
    """The commands of every ``sh`` and ``console`` block, as words; a line is a command."""
    blocks = re.findall(
        rf"^ *```(?:{kinds})\n(.*?)^ *```$", path.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    for block in blocks:
        for line in textwrap.dedent(block).splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def section(path: Path, heading: str) -> str:
    """The text under a heading of the second level."""
    found = re.search(
        rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", path.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, f"{name_of(path)} has no section {heading}"
    return found[1]


def first_cells(text: str) -> set[str]:
    """The words in backticks in the first column of the tables of ``text``."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The source of a file, parsed once for all who look."""
    return ast.parse(path.read_text())


def calls(*, but: tuple[str, ...] = ("sandbox",)) -> Iterator[ast.Call]:
    """Every call in the package's source, the sandbox's aside."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in but:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                yield node


def called(call: ast.Call) -> str:
    """The last part of the name that is called."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def texts(node: ast.expr) -> set[str]:
    """The strings that an expression may be: a literal, or either side of a condition."""
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp(body=one, orelse=other):
            return texts(one) | texts(other)
        case _:
            return set()
