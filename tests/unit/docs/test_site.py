"""The site of the documents: every page has a place in its list, and faults end its build."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from tests.unit.docs.documents import DOCUMENTS, ROOT, name_of

NAVIGATION = (ROOT / "docs" / "site" / "navigation.txt").read_text()
FRONT = "README.md"


def _listed() -> list[str]:
    """The pages and patterns of the list, as files."""
    blocks = re.findall(r"^```{toctree}\n(.*?)^```$", NAVIGATION, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [f"{line}.md" for line in lines if line and not line.startswith(":")]


def test_every_page_has_a_place_in_the_list() -> None:
    """A new page stands in `docs/site/navigation.txt`, or the build of the site ends with it."""
    listed = _listed()
    assert len(listed) > 15
    pages = [name_of(path) for path in DOCUMENTS if name_of(path) != FRONT]
    assert [page for page in pages if not any(fnmatch(page, each) for each in listed)] == []


def test_the_list_names_pages_that_exist_once() -> None:
    """No place of the list is empty, and no page has two."""
    listed = _listed()
    assert [each for each in listed if not list(ROOT.glob(each))] == []
    assert len(listed) == len(set(listed))


def test_a_fault_ends_the_build() -> None:
    """Warnings are faults: links and anchors that lead nowhere, pages without a place."""
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"-m sphinx .*\n.*--fail-on-warning", makefile)
    assert "suppress_warnings" not in (ROOT / "docs" / "site" / "conf.py").read_text()
