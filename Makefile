# The only entry points: make setup demo test check sim mutants interop bench (and fix, clean).

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
JOBS ?= auto
SEEDS ?= 10000
KILLS ?= 100

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix sim mutants interop bench clean

help:
	@echo "make setup    install into .venv (no-op when nothing changed)"
	@echo "make demo     run a whole network on this machine and print its availability report"
	@echo "make test     run the tests"
	@echo "make check    format, lint, types, layers"
	@echo "make sim      long simulations; SEEDS=n, KILLS=n"
	@echo "make mutants  put faults into the code, one at a time: the tests must notice"
	@echo "make interop  against the real npm hypercore (needs node and npm)"
	@echo "make bench    the table of benchmarks"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "holdfast needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	@echo "installing into .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . --group dev
	@touch $@

demo: setup
	@$(BIN)/holdfast demo $(ARGS)

test: setup
	@$(BIN)/pytest -n $(JOBS) -q

check: setup
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q tests/test_tidy.py tests/test_security.py

fix: setup
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

sim: setup
	@SEEDS=$(SEEDS) KILLS=$(KILLS) $(BIN)/pytest -n $(JOBS) -q tests/simulation tests/attacks/test_kill.py

mutants: setup
	@$(BIN)/python -m tests.mutants

interop: setup
	@INTEROP=full $(BIN)/pytest -q -rs tests/interop

bench: setup
	@$(BIN)/python -m benchmarks

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
