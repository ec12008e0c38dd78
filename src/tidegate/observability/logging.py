"""Logs: one JSON object a line, an event word, and the ids of what it is about (D5).

The first argument of every call is an event word in snake case (``order_offered``,
``psp_call_failed``), everything else a keyword. ``subjects`` puts the ids of what a turn is about
on every line of it. Whatever reaches a line has passed :mod:`tidegate.observability.redaction`,
also what uvicorn, SQLAlchemy and APScheduler say through the standard library.

Lines go to standard error: standard output belongs to the commands' answers.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, TextIO

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars
from structlog.typing import FilteringBoundLogger, Processor

from tidegate.observability.redaction import redact_event
from tidegate.observability.sentry import report

__all__ = ["bind", "bound", "clear", "configure", "get_logger"]

# Libraries whose ordinary chatter says what our own events say better.
_QUIET = (
    "aiohttp.access",
    "apscheduler",
    "asyncio",
    "sqlalchemy.engine",
    "sqlalchemy.pool",
    "uvicorn.access",
)
# These install handlers of their own, which would write past the redaction.
_ROUTED = ("apscheduler", "sqlalchemy", "uvicorn", "uvicorn.access", "uvicorn.error")

# Names of our own for structlog's, so that callers need one import.
bind = bind_contextvars
bound = bound_contextvars
clear = clear_contextvars


def configure(level: str = "INFO", json: bool = True, stream: TextIO | None = None) -> None:
    """Set up all logging of the process. May be called again; the last call rules.

    ``level`` is one of the standard library's names. With ``json=False`` lines are laid out for
    a person. Loggers below the level cost one call to a function that does nothing.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # Before the exception becomes text.
        report,
        structlog.processors.format_exc_info,
        # Last before rendering, so that it sees all of the above, tracebacks included.
        redact_event,
    ]
    if not json:  # JSON escapes them itself
        shared.append(_escape_controls)
    render: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(
            # The traceback is text by then; anything richer would print the locals.
            colors=out.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    _route_standard_library(number, shared, render, out)


def get_logger(**initial: Any) -> FilteringBoundLogger:
    """A logger; ``initial`` stands on each of its lines. Cheap, and safe at import time."""
    logger: FilteringBoundLogger = structlog.get_logger(**initial)
    return logger


def _route_standard_library(
    number: int, shared: list[Processor], render: Processor, out: TextIO
) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *shared,
                render,
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    for name in _ROUTED:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)


# C0, DEL and C1: what makes a terminal act instead of show.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROLS_BUT_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
# Of several lines by nature; our own processors made them from files and exceptions.
_TRACEBACKS = frozenset({"exception", "stack"})


def _escape_controls(_logger: Any, _method: str, event: Any) -> Any:
    """Spell control characters out: a caller's path must not command the operator's terminal.

    Texts inside of lists and mappings are shown by their repr, which does the same.
    """
    for key, value in event.items():
        if isinstance(value, str):
            controls = _CONTROLS_BUT_LINES if key in _TRACEBACKS else _CONTROLS
            event[key] = controls.sub(_spelled, value)
    return event


def _spelled(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape").decode("ascii")


def _logger_name(_logger: Any, _method: str, event: Any) -> Any:
    """Say which library speaks."""
    event["logger"] = event["_record"].name
    return event
