# On a bare machine (Python 3.11+, make, git): `make repro` or `make test`, and nothing before it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help repro test lint format same-bytes

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Oncovec needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say which with: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

repro: $(READY)  ## environment, then the whole pipeline on the built-in phantoms
	PATH="$(abspath $(BIN)):$$PATH" dvc repro

test: $(READY)  ## environment, then every test, a file a core
	PATH="$(abspath $(BIN)):$$PATH" python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## ruff and mypy on the library, stages and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

same-bytes: $(READY)  ## whether an edit changes a result: a run from nothing, compared with the last commit
	PATH="$(abspath $(BIN)):$$PATH" python benchmarks/same_bytes.py
