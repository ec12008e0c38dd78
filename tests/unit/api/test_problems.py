"""The one table from error class to HTTP status, and the catalogue drawn from the tree."""

from __future__ import annotations

import re

import pytest

from tests.unit.docs.documents import ROOT
from tidegate.api.advice import ADVICE
from tidegate.api.catalogue import entries, index, one
from tidegate.api.problems import STATUS, problem_type, status_of_class
from tidegate.cli.pages.errors import errors_page, known_errors
from tidegate.errors import NotFound, TidegateError

CONTRACT = {
    "unreadable_body": 400,
    "idempotency_key_required": 400,
    "not_authenticated": 401,
    "invalid_credentials": 401,
    "invalid_token": 401,
    "refresh_token_reused": 401,
    "card_declined": 402,
    "forbidden": 403,
    "origin_refused": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "email_taken": 409,
    "request_still_running": 409,
    "payment_state": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "validation_failed": 422,
    "card_number_refused": 422,
    "idempotency_key_reused": 422,
    "weak_password": 422,
    "processor_failed": 424,
    "too_many_requests": 429,
    "unavailable": 503,
    "processor_unreachable": 503,
    "internal_error": 500,
}


def _served() -> list[type[TidegateError]]:
    return [each for each in known_errors() if not each.__module__.startswith("tidegate.cli")]


def test_every_error_resolves_deliberately() -> None:
    """No class falls through to the status of the root."""
    missed = [
        error.__name__
        for error in _served()
        if next(each for each in error.__mro__ if each in STATUS) is TidegateError
        and error is not TidegateError
    ]
    assert missed == []


def test_the_statuses_are_those_of_the_contract() -> None:
    """Code by code, as the contract lists them."""
    statuses = {error.code: status_of_class(error) for error in _served()}
    assert {code: statuses[code] for code in CONTRACT} == CONTRACT


def test_every_code_has_advice_and_no_advice_is_left_over() -> None:
    """The catalogue says of each code what to do next and whether a retry is safe."""
    assert ADVICE.keys() == {error.code for error in known_errors()}


def test_no_two_classes_answer_one_code_differently() -> None:
    """A code means one status, whichever class raises it."""
    found: dict[str, set[int]] = {}
    for error in _served():
        found.setdefault(error.code, set()).add(status_of_class(error))
    assert {code for code, statuses in found.items() if len(statuses) > 1} == set()


async def test_every_problem_type_has_its_page() -> None:
    """With title, status, when, what next and whether a retry is safe; the index lists it."""
    listed = bytes((await index()).body).decode()
    shown = 0
    for entry in entries():
        if entry.status is None:
            continue
        path = problem_type(entry.code)
        assert f'href="{path}"' in listed
        page = bytes((await one(path.rpartition("/")[2])).body).decode()
        assert f"<code>{entry.code}</code>" in page
        assert f"<dd>{entry.status} " in page
        assert str(entry.retry).split("`")[0] in page
        shown += 1
    assert shown > 50
    with pytest.raises(NotFound):
        await one("no-such-code")


async def test_the_pages_bring_all_they_need() -> None:
    """No script, nothing loaded; the policy allows the one style alone."""
    response = await index()
    page = bytes(response.body).decode()
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert re.findall(r"<script|<link|<img|src=|url\(|http", page) == []


def test_the_document_shows_every_code_and_its_advice() -> None:
    """`docs/errors.md` is drawn from the same data."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert page == errors_page()
    for entry in entries():
        assert f"| `{entry.code}` |" in page
        assert entry.next in page
