"""Facts about the repository itself, so that its parts cannot drift apart."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import tidegate

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

# What make, the tools and a running node leave behind; none of it is part of the repository.
_NOT_OURS = {".git", "htmlcov", "build", "dist", "var", "__pycache__"}


def _present_text_files() -> list[Path]:
    """Every text file that is, or could be, committed."""
    found = []
    for directory, subdirectories, names in os.walk(ROOT):
        subdirectories[:] = [
            name
            for name in subdirectories
            if name not in _NOT_OURS and (not name.startswith(".") or name in (".ci", ".github"))
        ]
        found += [
            Path(directory, name) for name in names if not name.startswith((".coverage", ".env"))
        ]
    return [path for path in found if b"\0" not in path.read_bytes()[:8192]]


def _locked(lock: str) -> dict[str, str]:
    """The pinned packages of a lock: normalised name to version."""
    text = (ROOT / "requirements" / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ \\;]+)", text, re.MULTILINE))


def _direct(*groups: str, extras: bool = False) -> dict[str, str]:
    """What pyproject asks for to run, with all extras if so, and in ``groups``."""
    asked = _parsed(PYPROJECT["project"]["dependencies"])
    if extras:
        for items in PYPROJECT["project"]["optional-dependencies"].values():
            asked |= _parsed(items)
    for group in groups:
        asked |= _group(group)
    return asked


def _group(name: str) -> dict[str, str]:
    """What a group of pyproject asks for, without the groups that it includes."""
    return _parsed([item for item in PYPROJECT["dependency-groups"][name] if isinstance(item, str)])


def _parsed(wanted: list[str]) -> dict[str, str]:
    """Normalised name to the range of versions."""
    pattern = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?([^;]*)")
    parsed = [match.groups() for match in map(pattern.match, wanted) if match]
    assert len(parsed) == len(wanted)
    return {re.sub(r"[._-]+", "-", name).lower(): versions for name, versions in parsed}


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _fits(version: str, versions: str) -> bool:
    """Whether a version is in a range spelled with >=, < and == only."""
    for clause in filter(None, versions.strip().split(",")):
        match = re.fullmatch(r"(>=|<|==)([0-9.]+)", clause.strip())
        assert match, f"the test does not understand {clause!r}"
        have, bound = _release(version), _release(match[2])
        width = max(len(have), len(bound))
        have, bound = (each + (0,) * (width - len(each)) for each in (have, bound))
        if not {">=": have >= bound, "<": have < bound, "==": have == bound}[match[1]]:
            return False
    return True


def _addresses_in(text: str) -> list[str]:
    listed = (ROOT / ".ci" / "registry-addresses").read_text().split("\n")
    pattern = re.compile("|".join(filter(None, listed)), re.IGNORECASE | re.MULTILINE)
    return [match.group() for match in pattern.finditer(text)]


def test_no_file_names_a_package_registry() -> None:
    """Every machine has registries of its own; an address in a file would send it elsewhere."""
    listed = ROOT / ".ci" / "registry-addresses"
    found = {
        str(path.relative_to(ROOT)): addresses
        for path in _present_text_files()
        if path != listed and (addresses := _addresses_in(path.read_text(errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "see https://" + "pypi." + "org/project/x",
        "https://files." + "python" + "hosted.org/x.whl",
        "--index" + "-url https://mirror.example/x",
        'url = "https://mirror.example/root/' + 'simple"',
    ],
)
def test_a_registry_address_would_be_found(text: str) -> None:
    """The patterns that CI and the test above share do find what they are for."""
    assert _addresses_in(text)


def test_every_target_is_phony_and_described() -> None:
    """`make` alone lists every target there is."""
    phony_line = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony_line
    phony = phony_line[1].split()
    described = re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE)
    assert sorted(phony) == sorted(described)
    printed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    listed = re.findall(r"^  ([a-z-]+) +\S", printed, re.MULTILINE)
    assert listed == described


def test_the_targets_that_the_documents_promise_exist() -> None:
    """The names in the README and in CI do not change by accident."""
    described = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    promised = "setup demo test test-long check lint format types bench lock clean"
    assert set(promised.split()) <= described


def test_the_changelog_knows_the_version() -> None:
    """The package's version is released in the changelog, or what Unreleased becomes."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    version = re.escape(tidegate.__version__)
    assert re.search(r"^## \[Unreleased\]$", changelog, re.MULTILINE)
    assert re.search(rf"^(## \[{version}\]|Becomes {version}\.$)", changelog, re.MULTILINE)


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("runtime.txt", _direct("build")),
        ("extras.txt", _direct("build", extras=True)),
        ("dev.txt", _direct("build", "dev", extras=True)),
        ("docs.txt", _group("docs")),
    ],
    ids=["runtime", "extras", "dev", "docs"],
)
def test_a_lock_pins_every_direct_dependency_within_its_range(
    lock: str, wanted: dict[str, str]
) -> None:
    """A dependency added or moved in pyproject without `make lock` shows."""
    pinned = _locked(lock)
    assert wanted.keys() - pinned.keys() == set()
    assert [name for name, versions in wanted.items() if not _fits(pinned[name], versions)] == []


@pytest.mark.parametrize("lock", ["runtime.txt", "extras.txt", "dev.txt", "docs.txt"])
def test_a_lock_holds_nothing_that_nobody_asks_for(lock: str) -> None:
    """A dependency removed from pyproject without `make lock` shows: each pin says who needs it."""
    text = (ROOT / "requirements" / lock).read_text()
    pinned = _locked(lock)
    for block in re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]:
        name = block.partition("==")[0]
        reasons = re.findall(r"^ +# +(?:via )?(.+)$", block, re.MULTILINE)
        asked_directly = any(reason.startswith("tidegate (") for reason in reasons)
        needed_by = {reason for reason in reasons if reason in pinned}
        assert asked_directly or needed_by, f"nobody asks for {name}"
        if asked_directly:
            assert name in _direct("build", "dev", "docs", extras=True)


@pytest.mark.parametrize("lock", ["runtime.txt", "extras.txt", "dev.txt", "docs.txt"])
def test_every_pin_of_a_lock_is_hashed(lock: str) -> None:
    """pip can refuse whatever is not the very file that was tested."""
    text = (ROOT / "requirements" / lock).read_text()
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    # A package may be pinned anew for another Python; each pin has a block.
    assert len({block.partition("==")[0] for block in blocks}) == len(_locked(lock)) > 10
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_what_is_tested_is_what_is_run() -> None:
    """The development lock contains the runtime lock and that of the extras, version by
    version."""
    assert _locked("runtime.txt").items() <= _locked("extras.txt").items()
    assert _locked("extras.txt").items() <= _locked("dev.txt").items()


def test_what_builds_the_documents_changes_nothing_that_is_tested() -> None:
    """Both locks are installed into one environment: what both name is one version."""
    dev, docs = _locked("dev.txt"), _locked("docs.txt")
    shared = dev.keys() & docs.keys()
    assert shared
    assert {name: docs[name] for name in shared} == {name: dev[name] for name in shared}


def test_the_build_backend_is_the_locked_one() -> None:
    """The package is built without isolation, so its backend has to come from the lock."""
    (required,) = PYPROJECT["build-system"]["requires"]
    assert PYPROJECT["dependency-groups"]["build"] == [required]
    assert required == f"hatchling=={_locked('runtime.txt')['hatchling']}"


def test_every_package_has_its_place_in_the_layers() -> None:
    """The contract is exhaustive, and each folder and module stands in exactly one layer."""
    layers, sandbox = PYPROJECT["tool"]["importlinter"]["contracts"]
    assert layers["exhaustive"] is True
    placed = [name.strip(" ()") for layer in layers["layers"] for name in layer.split("|")]
    assert len(placed) == len(set(placed))
    package = ROOT / "src" / "tidegate"
    present = {
        path.stem
        for path in package.iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    }
    assert present - {"__init__", "__main__"} <= set(placed)
    assert sandbox["forbidden_modules"] == ["tidegate.*"]


def test_every_folder_of_tests_is_a_package() -> None:
    """Two tests may share a file name only because their folders tell them apart."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_ci_runs_what_the_readme_says() -> None:
    """CI has no commands of its own: it runs tests, checks and demo as anybody would."""
    script = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for command in ("make test", "make check", "make docs", "make demo ARGS=--once"):
        assert re.search(rf"^{command}$", script, re.MULTILINE)


def test_the_licence_is_whole_and_the_one_declared() -> None:
    """The licence's full text ships with the package."""
    licence = (ROOT / "LICENSE").read_text()
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert all((ROOT / name).exists() for name in PYPROJECT["project"]["license-files"])
