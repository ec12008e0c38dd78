"""No document shows a command that nobody runs: each is run by a scene, or by the file that the
list names, or it stands in the list of what cannot run here, and then what it names is real."""

from __future__ import annotations

import functools
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.documents.pages import (
    ELSEWHERE,
    NOT_HERE,
    PAGES,
    PAYMENTS,
    RESTORE,
    SIMULATION,
    commands,
    line_of,
    listed,
)
from tests.unit.docs.documents import DOCUMENTS, ROOT, name_of, shell_lines
from tests.unit.docs.test_readme import faults_of

_LANGUAGES = {"sh", "console", "http", "json", "js", "python", "ini", "yaml", "mermaid", "text"}
_WHOLE = re.MULTILINE | re.DOTALL
_FENCE = re.compile(r"^ *```(.*)$", re.MULTILINE)
_COMMAND = re.compile(
    r"^ *(?:\$ )?(?:[\w./]+/)?(?:tidegate|make|docker|kubectl|python|psql) ", re.M
)
# In sentences: `docker compose ...`, but not a folder or a service of the same name.
_IN_PROSE = re.compile(r"`((?:docker compose|docker build|kubectl) [^`]+)`")
MANIFESTS = ROOT / "deploy" / "kubernetes"


def _shown() -> list[tuple[Path, list[str]]]:
    return [(page, words) for page in PAGES for words in commands(page)]


def _not_here() -> list[str]:
    """Every command of a program that no test can run, from blocks and from sentences."""
    blocks = [line_of(words) for _, words in _shown() if words[0] in NOT_HERE]
    prose = [text for page in DOCUMENTS for text in _IN_PROSE.findall(page.read_text())]
    return sorted({*blocks, *(" ".join(text.split()) for text in prose)})


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_stand_in_blocks_that_are_read(path: Path) -> None:
    """A block has a language that is known, so no command hides in one without."""
    fences = _FENCE.findall(path.read_text())
    assert set(fences[::2]) <= _LANGUAGES
    assert set(fences[1::2]) <= {""}
    others = re.findall(r"^ *```(?!sh|console)\w+\n(.*?)^ *```$", path.read_text(), _WHOLE)
    assert [block for block in others if _COMMAND.search(block)] == []


def test_every_command_is_run_or_listed() -> None:
    """What is not listed is a command of ours, which the scenes run as it stands."""
    shown = _shown()
    assert len(shown) > 80
    run_in_a_scene = [words for _, words in shown if listed(words) is None]
    assert len(run_in_a_scene) > 50
    strange = [line_of(words) for words in run_in_a_scene if words[0] not in {"tidegate", "cp"}]
    assert strange == [], "run them in a test and name it in tests/integration/documents/pages.py"


def test_the_list_names_what_is_shown_and_files_that_run_it() -> None:
    """Nothing is left over in the list; the file that is named holds the command or its words."""
    used = {listed(words) for _, words in _shown()}
    assert [each for each in (*ELSEWHERE, *NOT_HERE) if each not in used] == []
    for beginning, (why, file) in ELSEWHERE.items():
        assert why
        text = (ROOT / file).read_text()
        last = beginning.removesuffix(" ARGS=").split()[-1]
        assert last.strip("-") in text, f"{file} says nothing of {beginning}"


def test_pages_with_a_scene_of_their_own_have_commands() -> None:
    """A page that lost its commands leaves the list."""
    names = {name_of(page) for page in PAGES}
    assert {*PAYMENTS, *RESTORE, *SIMULATION} <= names


@functools.cache
def _compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return read


@functools.cache
def _objects() -> set[str]:
    """``kind/name`` of what the manifests make, and their labels as ``name=value``."""
    found = set()
    for path in MANIFESTS.rglob("*.yaml"):
        text = path.read_text()
        for each in yaml.safe_load_all(text):
            if isinstance(each, dict) and isinstance(name := each.get("metadata", {}), dict):
                found.add(f"{str(each.get('kind')).lower()}/{name.get('name')}")
        found |= {f"{key}={value}" for key, value in re.findall(r'([\w-]+): "?([\w-]+)"?', text)}
    return found


def _faults_of_docker(words: list[str]) -> list[str]:
    services = _compose()["services"]
    profiles = {profile for each in services.values() for profile in each.get("profiles", ())}
    faults = [
        f"no profile {value}"
        for name, value in pairwise(words)
        if name == "--profile" and value not in profiles
    ]
    if words[1] == "build":
        given = {word.partition("=")[0] for word in words if "=" in word}
        made = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
        return [*faults, *(f"no ARG {name}" for name in given - made)]
    assert words[1] == "compose", words
    for verb in ("exec", "run"):
        if verb in words:
            service, *inside = [
                word for word in words[words.index(verb) + 1 :] if not word.startswith("--")
            ]
            faults += [] if service in services else [f"no service {service}"]
            if inside and inside[0] == "tidegate":
                faults += faults_of(inside[1:])
    return faults


def _faults_of_kubectl(words: list[str]) -> list[str]:
    there, faults = _objects(), []
    for before, word in pairwise(words):
        if before in {"-k", "--kustomize"}:
            faults += [] if (ROOT / word / "kustomization.yaml").exists() else [f"no {word}"]
        if before in {"job", "namespace", "--namespace"} and words[1] != "label":
            kind = before.strip("-")
            faults += [] if f"{kind}/{word}" in there else [f"no {kind} {word}"]
        if re.fullmatch(r"(job|deployment)/\S+", word) and word not in there:
            faults.append(f"no {word}")
        if words[1] == "label" and "=" in word and word not in there:
            faults.append(f"no label {word}")
    return faults


def test_what_cannot_run_here_names_what_is_there() -> None:
    """Profiles, services, arguments of the image and what runs inside; files, objects, labels."""
    checks = {"docker": _faults_of_docker, "kubectl": _faults_of_kubectl}
    assert set(checks) == set(NOT_HERE)
    lines = _not_here()
    assert len(lines) > 12
    faults = {line: checks[line.split()[0]](shlex.split(line)) for line in lines}
    assert {line: found for line, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    "line",
    [
        "docker compose --profile nobody up",
        "docker compose exec nobody tidegate doctor",
        "docker compose exec api tidegate dictor",
        "docker build --build-arg NOBODY=1 .",
        "kubectl apply -k deploy/kubernetes/overlays/nowhere",
        "kubectl rollout status deployment/nobody",
        "kubectl --namespace nobody get pods",
        "kubectl label namespace monitoring tidegate-access=false",
    ],
)
def test_a_wrong_name_would_be_found(line: str) -> None:
    """The check above does not pass everything."""
    words = line.split()
    check = _faults_of_docker if words[0] == "docker" else _faults_of_kubectl
    assert check(words)


@pytest.mark.parametrize("kind", ["bash", "shell"])
def test_a_block_of_another_shell_would_be_found(kind: str, tmp_path: Path) -> None:
    """`bash` is no language of these documents: `sh` is what is run."""
    page = tmp_path / "page.md"
    page.write_text(f"```{kind}\nrm -rf nothing\n```\n")
    assert list(shell_lines(page)) == []
    assert not set(_FENCE.findall(page.read_text())[::2]) <= _LANGUAGES
