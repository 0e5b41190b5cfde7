# Two commands on a machine with nothing but Python 3.11 and make: `make lab` and `make test`.
# Each makes its own .venv and installs what it needs; nothing outside this folder changes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= auto

# A file runs on one worker, so that what its tests share is made once, and in the order that tests/conftest.py gives.
PYTEST := -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# One release of torch, because the range in pyproject.toml lets pip choose among builds for graphics cards, which are
# large and not needed here.
TORCH  ?= torch==2.13.0

.PHONY: lab test test-jax test-torch lint types docs evidence mutants corpus-table clean help

help:             ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 16

lab: $(VENV)/.lab ## train a digit classifier, save it as MATLAB would, prune it, and write the report
	$(BIN)/python examples/mnist_lab.py --out lab

test: $(VENV)/.dev ## the whole test suite
	$(BIN)/python $(PYTEST)

test-jax: $(VENV)/.jax ## what depends on the backend, on JAX
	KERAS_BACKEND=jax $(BIN)/python $(PYTEST) -m backends

test-torch: $(VENV)/.torch ## what depends on the backend, on torch
	KERAS_BACKEND=torch $(BIN)/python $(PYTEST) -m backends

evidence: $(VENV)/.jax ## what each method of pruning is worth, in ten minutes: docs/evidence.md has all of it
	KERAS_BACKEND=jax $(BIN)/python benchmarks/evidence.py --quick

mutants: $(VENV)/.mutation ## faults put into the core, which the tests should see: docs/mutation.md (an hour)
	$(BIN)/python -m tests.mutants

lint: $(VENV)/.dev ## style, and the layers of the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.dev ## types
	$(BIN)/mypy

docs: $(VENV)/.docs ## the documentation, as a site, with what the examples left behind in the last `make test`
	$(BIN)/python docs/build_gallery.py
	$(BIN)/zensical build --strict

corpus-table: $(VENV)/.dev ## docs/corpus.md, where the files are at hand
	$(BIN)/python -m tests.corpus_table
	$(BIN)/python -m tests.device_table

clean:            ## what was made
	rm -rf $(VENV) lab site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .mutants

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python found: install Python 3.11 or newer, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11: say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# One stamp a set of extras: installing again only where pyproject.toml has changed.
$(VENV)/.lab: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[tensorflow,examples,report]"
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

$(VENV)/.mutation: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable ".[mutation]"
	@touch $@

$(VENV)/.jax: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable ".[jax]"
	@touch $@

$(VENV)/.torch: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	@touch $@

$(VENV)/.docs: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	@touch $@
