"""The words of events, cases, accounts and kinds of work in the documents are those of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.unit.docs.documents import (
    PACKAGE,
    ROOT,
    called,
    calls,
    first_cells,
    section,
    texts,
    tree_of,
)
from tidegate.ledger.chart import CHART
from tidegate.payments.deliver_filters import EVENT_TYPES
from tidegate.payments.states import ON_THE_WAY, public_status
from tidegate.payments.states import State as PaymentState
from tidegate.payouts.states import Event
from tidegate.workers import handlers

EVENTS = ROOT / "docs" / "events.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}

# What a name in a kind of work stands for.
_PARTS = {"name": "<psp>", "money_in.cards.name": "<processor>"}


def _case_kinds() -> set[str]:
    found: set[str] = set()
    for call in calls():
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if called(call) == "OpenCase":
            found |= texts(call.args[0] if call.args else given["kind"])
        elif called(call) == "_case":  # a verb's own way to open one: about what, kind, why
            found |= texts(call.args[1])
    return found


def _log_calls() -> Iterator[ast.Call]:
    for call in calls():
        if (
            isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id in {"log", "_log", "logger"}
            and call.func.attr in _LEVELS
        ):
            yield call


def _payout_events() -> set[str]:
    noted = {word for call in calls() if called(call) == "note" for word in texts(call.args[0])}
    written = {
        word
        for folder in ("payouts", "recovery")
        for path in (PACKAGE / folder).glob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if key is not None and texts(key) == {"event"}
        for word in texts(value)
    }
    return {event.value for event in Event} | noted | written


def _payment_events() -> set[str]:
    """What a payment's timeline may hold: what may be subscribed to, and every status told."""
    told = {f"payment.{public_status(state)}" for state in PaymentState if state not in ON_THE_WAY}
    return told | set(EVENT_TYPES)


def _announced() -> Iterator[str]:
    """The types that the code of payments writes: whole, or ``family.*`` where the rest varies."""
    for path in (PACKAGE / "payments").glob("*.py"):
        for node in ast.walk(tree_of(path)):
            given: list[ast.expr] = []
            if isinstance(node, ast.Call) and called(node) == "announce":
                given.append(node.args[0])
            elif isinstance(node, ast.Dict) and {"payment_id", "seq", "type"} <= _keys(node):
                given += [
                    value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if key is not None and texts(key) == {"type"}
                ]
            for each in given:
                yield from texts(each)
                if family := _family(each):
                    yield family


def _family(node: ast.expr) -> str | None:
    """``payment.*`` for ``f"payment.{status}"``."""
    match node:
        case ast.JoinedStr(values=[ast.Constant(value=str(beginning)), *_]):
            return f"{beginning}*"
    return None


def _keys(node: ast.Dict) -> set[str]:
    return {word for key in node.keys if key is not None for word in texts(key)}


def _kind_of_work(node: ast.expr) -> str | None:
    """The kind that an expression of ``workers/handlers.py`` is; ``None``: a chore's own id."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(
                str(part.value) if isinstance(part, ast.Constant) else _part(part)
                for part in values
            )
        case ast.Attribute(value=ast.Name(id="chore"), attr="kind"):
            return None
        case ast.Name(id=name):
            return str(getattr(handlers, name))
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return str(getattr(getattr(handlers, module), name))
    raise AssertionError(f"the test does not know what kind of work {ast.unparse(node)} is")


def _part(node: ast.expr) -> str:
    assert isinstance(node, ast.FormattedValue)
    return _PARTS[ast.unparse(node.value)]


def test_every_kind_of_case_says_what_to_do() -> None:
    """An operator finds each kind that the code opens, and no kind that it does not."""
    kinds = _case_kinds()
    assert {"payout_held", "payment_unknown"} <= kinds
    assert first_cells(section(EVENTS, "Cases")) == kinds


def test_every_case_is_opened_with_a_word_that_can_be_found() -> None:
    """A kind that is no literal stands only in a ``_case``, whose callers name it."""
    hidden = {
        path.name
        for path in PACKAGE.rglob("*.py")
        if "sandbox" not in path.parts
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name != "_case"
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and called(call) == "OpenCase"
        if not texts(call.args[0] if call.args else call.keywords[0].value)
    }
    assert hidden == set()


def test_every_log_event_is_explained() -> None:
    """Each event word that the code logs is in the table, and no other."""
    words = {word for call in _log_calls() for word in texts(call.args[0])}
    assert {"case.opened", "auth.logged_in"} <= words
    assert first_cells(section(EVENTS, "Log events")) == words


def test_a_log_event_without_a_word_of_its_own_is_an_event_of_a_row() -> None:
    """Only the two witnesses log a variable: an event of a payout, or one of a payment."""
    variable = {
        _family(call.args[0]) or ast.unparse(call.args[0])
        for call in _log_calls()
        if not texts(call.args[0])
    }
    assert variable == {"type_", "payout.*"}


def test_every_payout_event_is_explained() -> None:
    """Each word that an order's story may hold is in the table, and no other."""
    words = _payout_events()
    assert "offered" in words
    assert first_cells(section(EVENTS, "Payout events")) == words


def test_every_payment_event_is_explained() -> None:
    """Each type that a payment's timeline may hold is in the table, and no other."""
    assert first_cells(section(EVENTS, "Payment events")) == _payment_events()


def test_every_announced_type_is_a_known_one() -> None:
    """What verbs write into the timeline is of a type that receivers can ask for."""
    known = _payment_events() | {"payment.*", "refund.*"}
    announced = set(_announced())
    assert {"payment.created", "payment.*", "refund.*"} <= announced
    assert announced - known == set()


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
        _kind_of_work(node.args[1])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and called(node) == "Kind"
    } - {None}
    assert {"accept", "read:<psp>", "read:<processor>", "pay", "deliver"} <= kinds
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
