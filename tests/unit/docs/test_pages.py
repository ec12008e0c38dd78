"""Pages that are drawn from the code say what the code says now."""

from __future__ import annotations

import ast
import re

import pytest

from tests.unit.docs.documents import PACKAGE, ROOT, tree_of
from tidegate.cli.pages import PAGES, errors_page, states_page
from tidegate.cli.pages.commands import commands_page, every_command
from tidegate.payouts.states import ATTEMPT_TRANSITIONS, TRANSITIONS


@pytest.mark.parametrize("file", PAGES)
def test_a_generated_page_is_in_step(file: str) -> None:
    """`python -m tidegate.cli.pages` would change nothing."""
    assert (ROOT / file).read_text(encoding="utf-8") == PAGES[file]()


def test_every_row_of_the_state_tables_is_on_the_page() -> None:
    """The page shows both tables whole, row by row."""
    page = states_page()
    rows = [
        f"| `{before}` | `{event}` | {'stays' if before is after else f'`{after}`'} |"
        for table in (TRANSITIONS, ATTEMPT_TRANSITIONS)
        for (before, event), after in table.items()
    ]
    assert [row for row in rows if f"{row}\n" not in page] == []


def test_the_drawings_together_show_every_change_of_state() -> None:
    """Each row that changes a state is an arrow of some drawing, under its event's name."""
    arrows = {
        (before, event, after)
        for before, after, events in re.findall(
            r"^    (\w+) --> (\w+) : (.+)$", states_page(), re.MULTILINE
        )
        for event in events.split(", ")
    }
    changes = {
        (before.value, event.value, after.value)
        for table in (TRANSITIONS, ATTEMPT_TRANSITIONS)
        for (before, event), after in table.items()
        if before is not after
    }
    assert arrows == changes


def test_every_error_code_of_the_source_is_on_the_page() -> None:
    """Wherever a class of an error gives a code, the catalogue has it."""
    codes = {
        node.value.value
        for path in PACKAGE.rglob("*.py")
        for kind in ast.walk(tree_of(path))
        if isinstance(kind, ast.ClassDef)
        and any("sentence" in ast.unparse(line) for line in kind.body)
        for node in kind.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "code"
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    page = errors_page()
    assert len(codes) > 20
    assert {code for code in codes if f"| `{code}` |" not in page} == set()


def test_every_command_and_option_is_on_the_page() -> None:
    """Each command has its heading and each option its row."""
    page = commands_page()
    for words, command in every_command():
        assert re.search(rf"^#+ `{' '.join(words)}[ `]", page, re.MULTILINE), words
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert all(name in page for name in parameter.opts), (words, parameter.opts)
