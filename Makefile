# The two commands of the README, and the parts of the second. `make` alone lists them.
#
#   PYTHON=python3.12        the Python (3.11 or newer) that makes the virtual environment
#   VENV=DIR                 use, or make, the environment there instead of .venv
#   PYTEST_ARGS="-k engines" further arguments for pytest
#   PIP_ARGS="--pre"         further arguments of pip install, such as another index
#   TEST_JOBS=4             processes that share the tests (2), one thread each
#   NEUROSLEEP_DATA=DIR      folder of the real data sets, read by the package itself

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
TEST_JOBS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_ARGS ?=

# The stamps say what is installed from which checkout, since several checkouts may take turns with one environment:
# an editable install points at the last one, so each install removes the stamps of the others.
HERE := $(shell pwd -P | cksum | cut -d ' ' -f 1)
DEMO_READY := $(VENV)/.neurosleep-$(HERE)-demo
DEV_READY := $(VENV)/.neurosleep-$(HERE)-dev

heading = @printf '\n=== %s ===\n' '$(1)'
# Whole files to each process, whose tests share what is made once; a thread each, or they stand in each other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_JOBS) --dist loadfile
COVERAGE := --cov=neurosleep --cov-branch --cov-report=term-missing:skip-covered

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Installations stand in each other's way; the checks, which come after them, do not.
ifndef TOGETHER
.NOTPARALLEL:
endif
.PHONY: help demo install test test-full checks lint types rooms docs wheel try-wheel format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(DEMO_READY) ## install what the demo needs, then run it on embedded real data: out/demo
	@rm -rf out/demo
	$(BIN)/neurosleep demo --out out/demo

install: $(DEV_READY) ## install everything a developer needs into .venv

test: checks ## install what is missing, then lint, types, import layering, pages, tests with branch coverage
	$(call heading,tests with branch coverage (small tier))
	$(PYTEST) $(COVERAGE) -m "not full" $(PYTEST_ARGS)

test-full: checks ## the same with every test, the long ones too
	$(call heading,tests with branch coverage (every test))
	$(PYTEST) $(COVERAGE) -m "" --durations=20 $(PYTEST_ARGS)

checks: $(DEV_READY)
	@$(MAKE) --no-print-directory -j2 --output-sync=target TOGETHER=1 lint types rooms docs

lint: $(DEV_READY) ## ruff: rules and format
	$(call heading,lint)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_READY) ## mypy, strict
	$(call heading,types)
	$(BIN)/mypy --strict neurosleep

rooms: $(DEV_READY) ## import-linter: the layers of the subpackages
	$(call heading,import layering)
	$(BIN)/lint-imports

docs: $(DEV_READY) ## the documentation, strictly, into out/site; its gallery runs the examples
	$(call heading,documentation)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python tools/check_site.py

wheel: | $(BIN)/pip ## build the source distribution and, from it, the wheel: dist/
	$(call heading,source distribution and wheel)
	$(PIP) install --quiet $(PIP_ARGS) build
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

try-wheel: wheel ## install the wheel into a bare environment, and use it from an empty folder
	$(call heading,the wheel in a bare environment)
	$(BIN)/python tools/try_wheel.py dist/*.whl --python $(PYTHON) --pip="$(PIP_ARGS)"

format: $(DEV_READY) ## let ruff mend and format what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove builds, caches, pages and out/demo (not .venv, not your runs)
	rm -rf build dist *.egg-info htmlcov .coverage .coverage.* out/demo out/gallery out/site
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path './.*' -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/pip:
	$(call heading,virtual environment in $(VENV))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'neurosleep needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(DEMO_READY): pyproject.toml | $(BIN)/pip
	$(call heading,install)
	$(PIP) install $(PIP_ARGS) -e .
	@rm -f $(VENV)/.neurosleep-* && touch $(DEMO_READY)

$(DEV_READY): pyproject.toml | $(BIN)/pip
	$(call heading,install for development)
	$(PIP) install $(PIP_ARGS) -e ".[dev]"
	@rm -f $(VENV)/.neurosleep-* && touch $(DEMO_READY) $(DEV_READY)
