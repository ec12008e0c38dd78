"""The OpenAPI document tells the truth: Schemathesis finds nothing, with all its checks and ours.

``schema/narrowed.py`` lists what the contract demands although a check takes it for a failure.
``SCHEMA_SEED`` repeats a run; the seed of each is printed.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.schema.run import Run, run_schemathesis
from tests.acceptance.schema.seeds import add_operator, add_things, add_user
from tests.acceptance.schema.service import Service

_ALL = ("examples", "coverage", "fuzzing", "stateful")
_SEED = 20261122
_LONG_S_MAX = 3_600

Start = Callable[[bool], Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the service; whatever came of the test, its log must hold no error."""
    started: list[Service] = []

    def start_(roomy: bool) -> Service:
        service = Service(tmp_path, roomy=roomy)
        started.append(service)
        service.start()
        return service

    yield start_
    for service in started:
        service.stop()
        complaints = service.complaints()
        assert not complaints, "\n".join(complaints[:20])


def _seed(long: bool) -> int:
    """The same one in every short run, another one in every long run."""
    given = os.environ.get("SCHEMA_SEED")
    if given is not None:
        return int(given)
    return secrets.randbelow(2**32) if long else _SEED


def _find_nothing(run: Run, directory: Path) -> None:
    print(f"SCHEMA_SEED={run.seed}")
    done = run_schemathesis(run, directory)
    assert done.returncode == 0, done.stdout
    # A run that could not get in, or met no operation, would find nothing either.
    assert "Seed: " in done.stdout
    print(done.stdout[done.stdout.index("= SUMMARY =") :])


def test_the_document_says_how_a_logged_in_user_is_answered(start: Start, tmp_path: Path) -> None:
    """All operations, a few examples each, with things that exist and signed calls of the
    counterparties."""
    _as_user(start, tmp_path, 2, ("examples", "coverage", "fuzzing"), long=False)


def test_the_document_says_how_a_stranger_is_answered(start: Start, tmp_path: Path) -> None:
    """Nobody logs in, nothing is signed, and the limits are those of production."""
    _as_stranger(start, tmp_path, 2, ("examples", "fuzzing"), long=False)


@pytest.mark.long
def test_a_thousand_examples_as_a_logged_in_user(start: Start, tmp_path: Path) -> None:
    """The same with a thousand examples an operation, and in sequences."""
    _as_user(start, tmp_path, 1_000, _ALL, long=True)


@pytest.mark.long
def test_a_thousand_examples_as_a_stranger(start: Start, tmp_path: Path) -> None:
    _as_stranger(start, tmp_path, 1_000, _ALL, long=True)


@pytest.mark.long
def test_a_thousand_examples_as_an_operator(start: Start, tmp_path: Path) -> None:
    """What only operators may do; an ordinary user gets no further than 403 there."""
    service = start(True)
    ids = add_things(service, add_user(service, "ada@example.org"))
    add_operator(service, "grace@example.org")
    users = ("grace@example.org",)
    run = Run(service.url, _seed(True), 1_000, _ALL, users, ids, paths="^/api/ops/")
    _find_nothing(_patient(run), tmp_path)


@pytest.mark.long
def test_no_user_sees_what_another_one_made(start: Start, tmp_path: Path) -> None:
    """What one makes and reads, the other asks for as well, and does not find."""
    service = start(True)
    users = ("ada@example.org", "grace@example.org")
    for email in users:
        add_user(service, email)
    paths = "^/api/(payment|webhook-)"
    run = Run(service.url, _seed(True), 200, _ALL, users, paths=paths)
    _find_nothing(_patient(run), tmp_path)


def _as_user(
    start: Start, directory: Path, examples: int, phases: tuple[str, ...], *, long: bool
) -> None:
    service = start(True)
    email = "ada@example.org"
    ids = add_things(service, add_user(service, email))
    run = Run(service.url, _seed(long), examples, phases, (email,), ids, signs=True)
    _find_nothing(_patient(run) if long else run, directory)


def _as_stranger(
    start: Start, directory: Path, examples: int, phases: tuple[str, ...], *, long: bool
) -> None:
    run = Run(start(False).url, _seed(long), examples, phases)
    _find_nothing(_patient(run) if long else run, directory)


def _patient(run: Run) -> Run:
    return dataclasses.replace(run, time_s_max=_LONG_S_MAX)
