"""The commands of documents that are no commands of the installed program: what writes the
generated pages, and what `make` does."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.documents.pages import ELSEWHERE, PAGES, commands, listed
from tests.unit.docs.documents import ROOT
from tidegate.cli.pages import PAGES as GENERATED

_LIMIT_S = 300
_HERE = str(Path(__file__).relative_to(ROOT))


def _ours(program: str) -> list[list[str]]:
    """The commands that the list leaves to this file."""
    found = {
        tuple(words)
        for page in PAGES
        for words in commands(page)
        if words[0] == program and ELSEWHERE.get(listed(words) or "", ("", ""))[1] == _HERE
    }
    return [list(words) for words in sorted(found)]


def test_the_generated_documents_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run in an empty checkout, both commands write what stands in this one."""
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    typed = _ours("python")
    modules = ("tidegate.cli.pages", "tidegate.settings.reference")
    assert typed == [["python", "-m", module] for module in modules]
    for _, _, module in typed:
        # A second time under another name, as `python -m` does it.
        monkeypatch.delitem(sys.modules, module, raising=False)
        runpy.run_module(module, run_name="__main__")
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {*GENERATED, "docs/configuration.md", ".env.example"}
    for file in written:
        assert (tmp_path / file).read_text() == (ROOT / file).read_text(), file


def _make(*words: str) -> subprocess.CompletedProcess[str]:
    # As from a developer's own shell: nothing of the run that this test is a part of.
    ours = ("MAKE", "MFLAGS", "PYTEST", "COV", "TIDEGATE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        ["make", *words], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip


def test_the_recipes_that_are_only_read_can_be_made() -> None:
    """`make --dry-run` of each prints what it would do, and finds every rule that it needs."""
    targets = [words[1] for words in _ours("make") if len(words) == 2]
    assert targets == ["format", "mutants", "test-long"]
    made = _make("--dry-run", *targets)
    assert made.returncode == 0, made.stdout
    for said in ("ruff format .", "mutmut run", "pytest -m long"):
        assert said in made.stdout


@pytest.mark.long
def test_one_file_and_one_database_alone() -> None:
    """`make test ARGS=...` as CONTRIBUTING shows it runs some tests, and these pass."""
    typed = [words for words in _ours("make") if len(words) > 2]
    assert len(typed) == 2
    for words in typed:
        made = _make(*words[1:])
        assert made.returncode == 0, made.stdout
        assert " passed" in made.stdout
