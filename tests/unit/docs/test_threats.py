"""The threat model names its tests and says what is accepted; the policies name what is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from tests.unit.docs.documents import ROOT, section, tree_of

MODEL = ROOT / "docs" / "threat-model.md"
POLICY = ROOT / "docs" / "dependency-policy.md"
SECURITY = ROOT / "SECURITY.md"
WORKFLOWS = ROOT / ".github" / "workflows"

_TEST = re.compile(r"`(tests/\S+\.py)::(\w+)`")
_FROM = {
    "aggregator's side",
    "PSP's side",
    "card processor's side",
    "API user",
    "receiver of webhooks",
    "network",
    "operator",
    "who reads the database",
    "who writes the database",
    "who reads logs or errors",
    "who has a backup",
    "who knows an old secret",
    "supply chain",
}


def _rows() -> list[list[str]]:
    lines = [line for line in section(MODEL, "Threats").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def _is_there(path: str, name: str) -> bool:
    if not (ROOT / path).exists():
        return False
    tests = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(
        isinstance(node, tests) and node.name == name for node in ast.walk(tree_of(ROOT / path))
    )


def test_every_threat_is_stopped_by_a_test_or_accepted_with_its_reason() -> None:
    """A test that was renamed would leave a promise without a proof."""
    rows = _rows()
    assert len(rows) > 50
    for row in rows:
        assert len(row) == 4, row
        _, who, stops, shown = row
        if stops.startswith("accepted"):
            assert re.match(r"accepted(?: by default)?: \S+ .{20,}", stops), who
            assert shown == "", who
        else:
            ((path, name),) = _TEST.findall(shown)
            assert _is_there(path, name), f"{who}: {path}::{name}"


def test_every_side_is_looked_at() -> None:
    """From all of them something is stopped, and the table has no other."""
    rows = _rows()
    assert {row[0] for row in rows} == _FROM
    assert {row[0] for row in rows if row[3]} == _FROM


def test_a_test_that_is_not_there_would_be_found() -> None:
    """Neither a file nor a name is taken on trust."""
    assert _is_there("tests/unit/docs/test_threats.py", "test_every_side_is_looked_at")
    assert not _is_there("tests/unit/docs/test_threats.py", "test_nobody_wrote")
    assert not _is_there("tests/unit/docs/test_nothing.py", "test_every_side_is_looked_at")


def test_the_policy_is_what_the_repository_does() -> None:
    """Locks, targets and checkers that it names exist, and run where it says."""
    text = POLICY.read_text()
    assert set(re.findall(r"`(requirements/\w+\.txt)`", text)) == {
        str(path.relative_to(ROOT)) for path in (ROOT / "requirements").glob("*.txt")
    }
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", text))
    assert {"lock", "audit", "sbom", "check", "test", "test-long", "docs"} <= named <= targets
    makefile, ci = (ROOT / "Makefile").read_text(), (WORKFLOWS / "ci.yaml").read_text()
    assert "--require-hashes" in makefile
    assert "--no-deps" in makefile
    assert re.search(r"pip-audit .*--requirement requirements/extras\.txt", makefile)
    assert "run: make audit" in ci
    assert "gitleaks" in ci
    assert "make sbom" in (WORKFLOWS / "release.yaml").read_text()
    assert "--ignore-vuln" not in f"{makefile}{ci}", "the policy says that there is no exception"
    assert '"S"' in (ROOT / "pyproject.toml").read_text()


def test_the_audit_runs_on_every_push_and_pull_request() -> None:
    """As the policy and CI say it."""
    # YAML reads `on` as a truth.
    ci = yaml.safe_load((WORKFLOWS / "ci.yaml").read_text())
    assert {"push", "pull_request"} <= set(ci[True])
    steps = [step.get("run", "") for step in ci["jobs"]["security"]["steps"]]
    assert any("make audit" in step for step in steps)


@pytest.mark.parametrize("path", [SECURITY, MODEL, POLICY], ids=lambda path: path.name)
def test_no_person_and_no_address_is_invented(path: Path) -> None:
    """Reports go to the repository's host; nobody's address is promised here."""
    assert re.findall(r"[\w.+-]+@[\w-]+\.\w+|https?://\S+", path.read_text()) == []


def test_security_says_how_to_report_and_what_follows() -> None:
    """In private, what is supported, and what a report gets."""
    text = SECURITY.read_text()
    for heading in ("Report", "What is supported", "What counts"):
        assert section(SECURITY, heading)
    assert "Report a vulnerability" in text
