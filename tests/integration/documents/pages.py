"""The commands that the documents show, in their order, and who runs each.

A command is run by the scenes of ``test_commands.py`` unless it stands here: in ``ELSEWHERE`` with
the file that runs it, or in ``NOT_HERE`` with the reason why nothing can. A command belongs to the
longest beginning that is listed. A new command of a page needs a line here only if the page's
scene cannot run it as it stands.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.unit.docs.documents import DOCUMENTS, name_of, shell_lines

__all__ = [
    "ELSEWHERE",
    "NOT_HERE",
    "PAGES",
    "PAYMENTS",
    "RESTORE",
    "SIMULATION",
    "commands",
    "line_of",
    "listed",
]

PAGES: Final = [page for page in DOCUMENTS if next(shell_lines(page), None)]

# Pages with a scene of their own; every other page is read beside a node that pays out.
PAYMENTS: Final = ("README.md", "docs/runbooks/card-payments.md", "docs/runbooks/retention.md")
RESTORE: Final = ("docs/runbooks/restore.md",)
SIMULATION: Final = ("docs/assurance.md",)

_CI: Final = "the checks of every commit run it"
_QUICK_START: Final = "tests/integration/documents/test_quick_start.py"
_PROGRAMS: Final = "tests/integration/documents/test_programs.py"

ELSEWHERE: Final[Mapping[str, tuple[str, str]]] = {
    "make setup": ("every other target of `make` does it first", "Makefile"),
    "make demo": (_CI, ".ci/run"),
    "make test": (_CI, ".ci/run"),
    "make test ARGS=": ("one more run of `make`, long", _PROGRAMS),
    "make check": (_CI, ".ci/run"),
    "make docs": (_CI, ".ci/run"),
    "make simulate": (_CI, ".ci/run"),
    "make test-long": ("it runs this very test; its recipe is read", _PROGRAMS),
    "make format": ("it changes the files of the checkout; its recipe is read", _PROGRAMS),
    "make mutants": ("it takes hours; its recipe is read", _PROGRAMS),
    "python -m tidegate.settings.reference": ("it writes into a folder", _PROGRAMS),
    "python -m tidegate.cli.pages": ("it writes into a folder", _PROGRAMS),
    "tidegate serve": ("it runs until it is stopped", _QUICK_START),
    "tidegate worker": ("it runs until it is stopped", _QUICK_START),
    "tidegate sandbox aggregator": ("it runs until it is stopped", _QUICK_START),
    "tidegate sandbox bank": ("it runs until it is stopped", _QUICK_START),
    "tidegate sandbox cards": ("it runs until it is stopped", _QUICK_START),
    "tidegate bench payouts": ("it measures", "tests/integration/cli/test_bench.py"),
    "tidegate bench payments": ("it measures", "tests/integration/cli/test_bench_payments.py"),
    "tidegate simulate --seeds": (_CI, ".ci/run"),
}
"""Why a command is not run by a scene, and the file that runs it."""

NOT_HERE: Final[Mapping[str, str]] = {
    "docker": "no container engine takes part; profiles, services and what they run are compared "
    "with the files, and the same processes run in `tests/deployment`",
    "kubectl": "no cluster takes part; files, objects and labels are compared with the manifests, "
    "which `tests/deployment` builds and checks",
}
"""Programs that no test can run, and the reason. ``tests/unit/docs/test_commands.py`` checks what
can be checked of them."""


def commands(page: Path) -> list[list[str]]:
    """The commands of a page as words, without the path of the environment."""
    return [[Path(first).name, *rest] for first, *rest in shell_lines(page)]


def line_of(words: list[str]) -> str:
    """The command as a shell reads it."""
    return shlex.join(words)


def listed(words: list[str]) -> str | None:
    """The beginning under which a command stands in ``ELSEWHERE`` or ``NOT_HERE``."""
    line = " ".join(words)
    known = [*ELSEWHERE, *NOT_HERE]
    found = [each for each in known if f"{line} ".startswith(f"{each} ") or _assigns(line, each)]
    return max(found, key=len, default=None)


def _assigns(line: str, beginning: str) -> bool:
    return beginning.endswith("=") and line.startswith(beginning)


assert {*PAYMENTS, *RESTORE, *SIMULATION} <= {name_of(page) for page in PAGES}
