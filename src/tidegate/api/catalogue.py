"""The catalogue of errors, drawn from the tree: pages that problem types resolve to (B11).

``/docs/errors/`` lists every code, ``/docs/errors/{code with - for _}`` explains one. The pages
bring all they need; their policy allows nothing else.
"""

from __future__ import annotations

import base64
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from tidegate.api.advice import ADVICE, Retry
from tidegate.api.problems import problem_type, status_of_class
from tidegate.errors import ConfigurationError, NotFound, TidegateError

__all__ = ["Entry", "entries", "entry_of", "error_tree", "router"]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One class of errors. ``status`` is ``None`` for what is never answered over HTTP."""

    code: str
    title: str
    status: int | None
    when: str
    next: str
    retry: Retry
    class_name: str


@router.get("/docs/errors")
@router.get("/docs/errors/")
async def index() -> HTMLResponse:
    """Every code, its status and its sentence."""
    rows = "".join(
        f'<tr><td><a href="{escape(problem_type(entry.code))}"><code>{escape(entry.code)}</code>'
        f"</a></td><td>{entry.status}</td><td>{_prose(entry.title)}</td></tr>"
        for entry in _served().values()
    )
    table = f"<table><tr><th>code</th><th>status</th><th>title</th></tr>{rows}</table>"
    return _page("Errors", f"<p>Every code that an answer may carry.</p>{table}")


@router.get("/docs/errors/{slug}")
async def one(slug: str) -> HTMLResponse:
    """The page of one code. Raises ``NotFound``."""
    entry = _served().get(slug)
    if entry is None:
        raise NotFound("There is no such error code.")
    assert entry.status is not None  # by _served
    status = f"{entry.status} {HTTPStatus(entry.status).phrase}"
    facts = (
        ("Code", f"<code>{escape(entry.code)}</code>"),
        ("Status", escape(status)),
        ("When it happens", _prose(entry.when)),
        ("What to do next", _prose(entry.next)),
        ("Is a retry safe?", _prose(entry.retry.value)),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts)
    back = '<p><a href="/docs/errors/">All errors</a></p>'
    return _page(entry.title, f"<dl>{listed}</dl>{back}")


def error_tree(root: type[TidegateError] = TidegateError) -> Iterator[type[TidegateError]]:
    """The classes of all errors that are imported, as a tree is read."""
    yield root
    children = [each for each in root.__subclasses__() if each.__module__.startswith("tidegate.")]
    # Those of the tree's own module in its order, those declared elsewhere after them.
    home = [each for each in children if each.__module__ == TidegateError.__module__]
    away = sorted((each for each in children if each not in home), key=lambda each: each.__name__)
    for child in (*home, *away):
        yield from error_tree(child)


def entries() -> Iterator[Entry]:
    """What the catalogue says about each class of the tree, in its order."""
    for error in error_tree():
        yield entry_of(error)


def entry_of(error: type[TidegateError]) -> Entry:
    """The catalogue's entry of one class. Raises ``KeyError`` for a code without advice."""
    # Nothing is served when the configuration is refused, and commands do not speak HTTP.
    silent = error is ConfigurationError or error.__module__.startswith("tidegate.cli")
    advice = ADVICE[error.code]
    return Entry(
        code=error.code,
        title=error.sentence,
        status=None if silent else status_of_class(error),
        when=(inspect.getdoc(error) or error.sentence).partition("\n\n")[0],
        next=advice.next,
        retry=advice.retry,
        class_name=error.__name__,
    )


def _served() -> dict[str, Entry]:
    """Slug to entry of what an answer may carry; of classes that share a code, the first."""
    found: dict[str, Entry] = {}
    for entry in entries():
        if entry.status is not None:
            found.setdefault(problem_type(entry.code).rpartition("/")[2], entry)
    return found


def _prose(text: str) -> str:
    """Escaped text, with what stands in backquotes as code."""
    return re.sub("`+([^`]+)`+", r"<code>\1</code>", escape(text))


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:3rem auto;padding:0 1rem;"
    "color:#1b1f24;background:#fff}"
    "table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;"
    "padding:.35rem .9rem .35rem 0;border-bottom:1px solid #d8dee4}"
    "dt{font-weight:600;margin-top:1rem}dd{margin:0}code{font-size:.95em}"
)
_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)


def _page(title: str, content: str) -> HTMLResponse:
    shown = escape(title.replace("`", ""))
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{shown} - Tidegate</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{shown}</h1>{content}</main></body></html>",
        headers={"content-security-policy": _POLICY},
    )
