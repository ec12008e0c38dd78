"""The words of events, cases, accounts and kinds of work in the documents are those of the code."""

from __future__ import annotations

import ast
import re

from tests.unit.docs.documents import PACKAGE, ROOT, called, calls, first_cells, section, texts
from tidegate.ledger.chart import CHART
from tidegate.payouts.states import Event

EVENTS = ROOT / "docs" / "events.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def _case_kinds() -> set[str]:
    found: set[str] = set()
    for call in calls():
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if called(call) == "OpenCase":
            found |= texts(call.args[0] if call.args else given["kind"])
        elif called(call) == "_case":  # report's own way to open one: journal, kind, why
            found |= texts(call.args[1])
    return found


def _log_events() -> set[str]:
    return {
        word
        for call in calls()
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in {"log", "_log", "logger"}
        and call.func.attr in _LEVELS
        for word in texts(call.args[0])
    }


def _payout_events() -> set[str]:
    noted = {word for call in calls() if called(call) == "note" for word in texts(call.args[0])}
    written = {
        word
        for path in (PACKAGE / "payouts").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if key is not None and texts(key) == {"event"}
        for word in texts(value)
    }
    return {event.value for event in Event} | noted | written


def test_every_kind_of_case_says_what_to_do() -> None:
    """An operator finds each kind that the code opens, and no kind that it does not."""
    kinds = _case_kinds()
    assert "payout_held" in kinds
    assert first_cells(section(EVENTS, "Cases")) == kinds


def test_every_log_event_is_explained() -> None:
    """Each event word that the code logs is in the table, and no other."""
    words = _log_events()
    assert "case.opened" in words
    assert first_cells(section(EVENTS, "Log events")) == words


def test_every_payout_event_is_explained() -> None:
    """Each word that an order's story may hold is in the table, and no other."""
    words = _payout_events()
    assert "offered" in words
    assert first_cells(section(EVENTS, "Payout events")) == words


def test_the_chart_of_accounts_is_the_ledgers() -> None:
    """Pattern, side, floor and meaning of each account, row by row."""
    rows = [
        f"| `{kind.pattern}` | {kind.grows_by.name.lower()} | {'yes' if kind.floor else 'no'} "
        f"| {kind.meaning} |"
        for kind in CHART
    ]
    shown = re.findall(r"^\| `[^`]*:\{\}` .*$", section(ARCHITECTURE, "Ledger"), re.MULTILINE)
    assert shown == rows


def test_the_kinds_of_work_are_those_of_the_table() -> None:
    """Each kind of `workers/handlers.py` is in the architecture's table, under its verb."""
    source = (PACKAGE / "workers" / "handlers.py").read_text()
    kinds = {
        ast.unparse(node.args[1]).strip("f'\"").replace("{name}", "<psp>")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and called(node) == "Kind"
        and not isinstance(node.args[1], ast.Attribute)
    }
    periodic = (PACKAGE / "workers" / "periodic.py").read_text()
    chores = {
        word
        for node in ast.walk(ast.parse(periodic))
        if isinstance(node, ast.Call) and called(node) == "Chore"
        for word in texts(node.args[0])
    }
    table = section(ARCHITECTURE, "Rows are the queue")
    shown = {
        word
        for row in re.findall(r"^\| [a-z ]+ \| (`[^|]*) \|", table, re.MULTILINE)
        for word in re.findall(r"`([^`]+)`", row)
    }
    assert shown == kinds | chores
