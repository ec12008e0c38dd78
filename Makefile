# Everything a developer, an operator or CI does with this checkout. `make` alone lists it.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first interpreter that runs, is new enough and can make a virtual environment. A version
# manager's shim may be on the path without an interpreter behind it, so each one is tried.
PYTHON ?= $(shell for candidate in python3.13 python3.12 python3.11 python3; do \
	if $$candidate -c 'import sys, ensurepip, sqlite3, ssl, venv; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1; then echo $$candidate; break; fi; done)
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# The locks name every package of every platform, so nothing is left for pip to resolve, and the
# package itself is built with the locked backend.
INSTALL := $(PIP) install --quiet --no-deps --require-hashes --requirement
INSTALL_SELF := $(PIP) install --quiet --no-deps --no-build-isolation --editable .

VENV_MADE := $(VENV)/.made
RUNTIME_READY := $(VENV)/.runtime-ready
DEV_READY := $(VENV)/.dev-ready
DOCS_READY := $(VENV)/.docs-ready

.PHONY: help setup demo test test-long check lint format types contract docs simulate mutants bench lock audit sbom clean

help: ## List the targets
	@echo "usage: make TARGET [ARGS='...']"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(DEV_READY) ## Make .venv with everything needed to develop and test
	@echo "$(VENV) is ready"

demo: $(RUNTIME_READY) ## Watch money move: Tidegate and sandbox counterparties, all local
	@$(BIN)/tidegate demo $(ARGS)

# Three processes for two processors, because many tests wait for programs that they started. Files
# go in their order, so that these tests begin first and quick ones fill the end. What they start is
# compiled once, before any of it runs. The detail of coverage is in htmlcov/ alone: in a terminal
# it would bury what failed.
test: $(DEV_READY) ## Run the tests on SQLite and PostgreSQL; total coverage here, the rest in htmlcov/
	@$(BIN)/python -m compileall -q src
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=html $(ARGS)

test-long: $(DEV_READY) ## Run the tests that take longer
	$(BIN)/python -m pytest -m long $(ARGS)

check: lint types contract ## Run everything that reads the code without running it

lint: $(DEV_READY) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV_READY) ## Put style and formatting right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV_READY) ## Check the types, strictly
	$(BIN)/mypy

contract: $(DEV_READY) ## Check that imports follow the layers of the design
	$(BIN)/lint-imports

# Every warning is a fault: a link or an anchor that leads nowhere, a page that nothing leads to.
docs: $(DOCS_READY) ## Build the site of the documents into build/site/
	$(BIN)/python -m sphinx --builder html --conf-dir docs/site --doctree-dir build/doctrees \
		--fail-on-warning --keep-going --fresh-env --quiet . build/site
	@echo "build/site/index.html"

simulate: $(RUNTIME_READY) ## Try to refute the promises in simulated time (ARGS='--seeds 1000')
	@$(BIN)/tidegate simulate $(ARGS)

mutants: $(DEV_READY) ## Put small faults into the core and see which no test notices
	nice $(BIN)/mutmut run --max-children 1 $(ARGS)
	$(BIN)/mutmut results

bench: $(RUNTIME_READY) ## Measure payouts a second on this machine
	@$(BIN)/tidegate bench payouts $(ARGS)

# Pins that still fit are kept; ARGS=--upgrade takes the newest. The development lock is held to
# the other two, so that what is tested is what is run. With extras is a lock of its own, which
# holds all of them: an installation takes one of the two.
LOCK := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

lock: $(DEV_READY) ## Compile requirements/*.txt from pyproject.toml (ARGS=--upgrade for newer)
	$(LOCK) $(ARGS) --group build --output-file requirements/runtime.txt pyproject.toml
	$(LOCK) $(ARGS) --all-extras --group build --constraints requirements/runtime.txt \
		--output-file requirements/extras.txt pyproject.toml
	$(LOCK) $(ARGS) --all-extras --group dev --constraints requirements/extras.txt \
		--output-file requirements/dev.txt pyproject.toml
	$(LOCK) $(ARGS) --group docs --constraints requirements/dev.txt \
		--output-file requirements/docs.txt

audit: $(DEV_READY) ## Ask for known faults of what is locked (needs the network; for CI)
	$(BIN)/pip-audit --disable-pip --require-hashes --requirement requirements/extras.txt $(ARGS)

sbom: $(DEV_READY) ## Write build/tidegate.cdx.json, the bill of materials of what is locked
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file build/tidegate.cdx.json requirements/runtime.txt

clean: ## Remove .venv, caches and reports (never data)
	rm -rf $(VENV) htmlcov build dist mutants .coverage .coverage.* \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(VENV_MADE):
	@test -n "$(PYTHON)" || { \
		echo "Tidegate needs Python 3.11 or newer with its venv module, and none was found." >&2; \
		echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv)," >&2; \
		echo "or name one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUNTIME_READY): requirements/runtime.txt pyproject.toml | $(VENV_MADE)
	@echo "Installing what Tidegate needs to run (once)"
	@$(INSTALL) requirements/runtime.txt
	@$(INSTALL_SELF)
	@touch $@

# The development lock contains the runtime lock, so this makes both ready.
$(DEV_READY): requirements/dev.txt requirements/runtime.txt pyproject.toml | $(VENV_MADE)
	@echo "Installing what Tidegate needs to run and to be tested (once)"
	@$(INSTALL) requirements/dev.txt
	@$(INSTALL_SELF)
	@touch $(RUNTIME_READY) $@

# Beside what tests need, and never in the way of it: the lock is held to the development lock.
$(DOCS_READY): requirements/docs.txt | $(DEV_READY)
	@echo "Installing what builds the documents (once)"
	@$(INSTALL) requirements/docs.txt
	@touch $@
