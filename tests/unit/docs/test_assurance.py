"""The page for auditors names its tests, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "assurance.md").read_text()


def test_every_row_of_the_failure_table_names_a_test_that_exists() -> None:
    """A failure whose test was renamed would be a promise without a proof."""
    table = PAGE.partition("## What happens if")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    for row in rows:
        ((path, name),) = re.findall(r"`(tests/\S+\.py)::(\w+)`", row)
        tree = ast.parse((ROOT / path).read_text())
        assert name in {getattr(node, "name", "") for node in ast.walk(tree)}, f"{path}::{name}"


def test_every_place_that_is_named_is_there() -> None:
    """Folders and files of tests."""
    named = set(re.findall(r"`(tests/[\w/.-]+)", PAGE))
    assert named
    assert [place for place in sorted(named) if not (ROOT / place).exists()] == []
