# On a bare machine (Python 3.11+, make, git): `make repro` or `make test`, and nothing before it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The commands in an environment name its folder. One that was moved or copied with its checkout is made anew.
ifneq ($(shell cat $(READY) 2>/dev/null),$(realpath $(VENV)))
.PHONY: $(READY)
endif

.PHONY: help repro test test-all lint format same-bytes stats

TEST = PATH="$(abspath $(BIN)):$$PATH" python -m pytest -n auto --dist loadfile --no-loadscope-reorder

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Oncovec needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say which with: make PYTHON=python3.12")'
	if test -s $@ && test "$$(cat $@)" != "$(realpath $(VENV))"; then $(PYTHON) -m venv --clear $(VENV); \
	elif test ! -x $(BIN)/python; then $(PYTHON) -m venv $(VENV); fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	cd $(VENV) && pwd -P > .ready

repro: $(READY)  ## environment, then the whole pipeline on the built-in phantoms
	@test -e .git || { echo "There is no Git history here, which DVC needs; a ZIP has none: git clone, or git init and commit"; exit 1; }
	PATH="$(abspath $(BIN)):$$PATH" dvc repro

test: $(READY)  ## environment, then what to run before each commit: the pipeline end to end is among it
	$(TEST) -m 'not slow'

test-all: $(READY)  ## every test: also clients, several processes, kills and commands of the docs
	$(TEST)

lint: $(READY)  ## ruff, mypy, and what rooms may import
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

same-bytes: $(READY)  ## whether an edit changes a result: a run from nothing, compared with the last commit
	PATH="$(abspath $(BIN)):$$PATH" python benchmarks/same_bytes.py

stats: $(READY)  ## facts about the code: modules, imports between rooms, lengths
	$(BIN)/python benchmarks/stats.py
