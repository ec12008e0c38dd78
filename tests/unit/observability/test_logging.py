"""Log lines: JSON, ids of the turn, redacted, also what libraries say."""

from __future__ import annotations

import io
import json
import logging
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tidegate.observability import bind, bound, clear, configure, get_logger


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    clear()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_time_level_and_event() -> None:
    """One JSON object a line."""
    out = io.StringIO()
    configure("INFO", stream=out)
    get_logger(part="offer").info("order_offered", amount=5, names=["ö"])
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "order_offered",
        "level": "info",
        "part": "offer",
        "amount": 5,
        "names": ["ö"],
    }
    assert "ö" in out.getvalue()


def test_ids_stand_on_every_line_of_a_turn_and_only_there() -> None:
    """bound() ends with its block, bind() with clear()."""
    out = io.StringIO()
    configure("INFO", stream=out)
    log = get_logger()
    bind(request_id="r1")
    with bound(order_id="o1"):
        log.info("inside")
    log.info("outside")
    clear()
    log.info("later")
    assert [(line.get("request_id"), line.get("order_id")) for line in lines(out)] == [
        ("r1", "o1"),
        ("r1", None),
        (None, None),
    ]


def test_secrets_do_not_reach_a_line_in_any_way() -> None:
    """As a value, as a bound id, in an exception's text, in a library's message."""
    out = io.StringIO()
    configure("INFO", stream=out)
    with bound(token="word-one-secret"):
        try:
            raise ValueError("refused Bearer word-two-secret-and-more")
        except ValueError:
            get_logger().exception("psp_call_failed", api_key="word-three-secret")
    logging.getLogger("uvicorn.error").error("got %s", "token=word-four-secret")
    text = out.getvalue()
    assert "psp_call_failed" in text
    assert "Traceback" in text
    assert "word-" not in text


def test_libraries_speak_through_the_same_lines() -> None:
    """uvicorn, SQLAlchemy and APScheduler are JSON too, once each, with their name."""
    out = io.StringIO()
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(out))
    configure("INFO", stream=out)
    logging.getLogger("uvicorn.error").info("started %s", "server")
    logging.getLogger("sqlalchemy.pool").warning("pool full")
    logging.getLogger("apscheduler.scheduler").error("missed")
    assert [(line["logger"], line["level"], line["event"]) for line in lines(out)] == [
        ("uvicorn.error", "info", "started server"),
        ("sqlalchemy.pool", "warning", "pool full"),
        ("apscheduler.scheduler", "error", "missed"),
    ]


def test_chatter_of_libraries_is_left_out() -> None:
    """Access lines and statements are below WARNING, and our own events say it better."""
    out = io.StringIO()
    configure("DEBUG", stream=out)
    logging.getLogger("uvicorn.access").info("GET /health")
    logging.getLogger("sqlalchemy.engine.Engine").info("SELECT 1")
    assert out.getvalue() == ""


def test_lines_below_the_level_are_not_written_and_cost_little() -> None:
    """A debug line that is not wanted is a call to nothing (well under 20 microseconds)."""
    out = io.StringIO()
    configure("INFO", stream=out)
    log = get_logger()
    log.info("first")
    took_s = []
    for _ in range(10):  # the best of some: a busy machine interrupts
        started = time.process_time()
        for _ in range(1_000):
            log.debug("row_claimed", kind="disburse", row=1)
        took_s.append(time.process_time() - started)
    assert min(took_s) < 0.02
    assert len(lines(out)) == 1


def test_the_last_configuration_rules() -> None:
    """configure() may be called again, for another stream and level, without doubling lines."""
    first, second = io.StringIO(), io.StringIO()
    configure("INFO", stream=first)
    configure("WARNING", stream=second)
    get_logger().info("unwanted")
    get_logger().warning("wanted")
    logging.getLogger("anything").warning("wanted_too")
    assert first.getvalue() == ""
    assert [line["event"] for line in lines(second)] == ["wanted", "wanted_too"]


def test_the_console_form_is_for_people() -> None:
    """The same content without JSON, redacted all the same."""
    out = io.StringIO()
    configure("INFO", json=False, stream=out)
    try:
        raise ValueError("Bearer word-two-secret-and-more")
    except ValueError:
        get_logger().exception("order_offered", order_id="o1", api_key="word-three-secret")
    text = out.getvalue()
    assert "order_offered" in text
    assert "o1" in text
    assert "word-" not in text


def test_a_caller_cannot_command_the_terminal() -> None:
    """Control characters are spelled out, in values, events and library messages; the lines of a
    traceback stay lines, what is in them is spelled out too."""
    out = io.StringIO()
    configure("INFO", json=False, stream=out)
    evil = "/api/\x1b]0;pwned\x07\r\n2026-11-22 forged\x9b31m\x7f"
    with bound(request_id=evil):
        get_logger().info("request", path=evil, tried=[evil], by={"name": evil})
    logging.getLogger("uvicorn.error").error("got %s", evil)
    try:
        raise ValueError(evil)
    except ValueError:
        get_logger().exception(evil)
    text = out.getvalue()
    assert "\\x1b]0;pwned\\x07\\r\\n2026-11-22 forged\\x9b31m\\x7f" in text
    assert "Traceback (most recent call last):\n" in text
    left = {character for character in text if unicodedata.category(character) == "Cc"}
    assert left == {"\n"}
    # Only an exception's own sentence begins a line, below "Traceback".
    assert sum(line.startswith("2026-11-22 forged") for line in text.splitlines()) == 1
