# Every target can be the first command ever typed: the virtual environment makes itself.
PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
# Workers of the test suite; -n0 runs it in one process.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

.PHONY: help demo test test-lowest lint format types layers docs bench soak kill-full harness-full trust-full check clean venv venv-test venv-dev

help:
	@echo 'make demo       a simulated camera, from raw files to a picture of its focal plane'
	@echo 'make test       the test suite (ARGS="tests/cli -k ingest" for a part of it)'
	@echo 'make lint       ruff;  make types  mypy;  make layers  import-linter;  make check  all of them'
	@echo 'make docs       the documentation, in docs/_build/html'
	@echo 'make bench      benchmarks, paired with lsst-daf-butler where it is installed'
	@echo 'make soak       many writers for long;  make kill-full  kill -9 at full size'
	@echo 'make trust-full  hostile repositories, flipped bits, names, fuzz, model at full size'
	@echo 'make harness-full  faults, power cuts, lost answers, kills, many writers at full size'

venv:
	@$(PYTHON) tools/make_venv.py $(VENV)

venv-test:
	@$(PYTHON) tools/make_venv.py $(VENV) --extras test

venv-dev:
	@$(PYTHON) tools/make_venv.py $(VENV) --extras dev

demo: venv
	@$(BIN)/lakebutler demo $(ARGS)
	@echo "(for these commands: . $(BIN)/activate)"

test: venv-test
	$(PYTEST) $(ARGS)

test-lowest:
	@$(PYTHON) tools/make_venv.py $(LOWEST) --extras test --lowest
	@$(LOWEST)/bin/python -c "import duckdb; print('duckdb', duckdb.__version__)"
	$(LOWEST)/bin/python -m pytest -q -n $(WORKERS) --dist loadfile $(or $(ARGS),$(wildcard tests/lake tests/registry tests/query tests/butler tests/datastore tests/formatters tests/cli))

lint: venv-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: venv-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

types: venv-dev
	$(BIN)/mypy

layers: venv-dev
	$(BIN)/lint-imports

docs: venv-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

bench: venv-test
	$(BIN)/python tests/bench/run.py $(ARGS)

soak: venv-test
	$(BIN)/python -m pytest -q --full -m full -k soak tests $(ARGS)

kill-full: venv-test
	$(BIN)/python -m pytest -q --full -m full -k kill tests $(ARGS)

# Faults at every call, simulated interleavings, power cuts, lost answers, many writers; hours.
harness-full: venv-test
	$(BIN)/python -m pytest -q -s --full -m full tests/fault tests/sim tests/powerloss tests/s3 tests/kill tests/concurrency $(ARGS)

# Hostile repositories, flips of every byte, names, refusals of the system, fuzz, model; hours.
trust-full: venv-test
	$(BIN)/python -m pytest -q -s --full -m full tests/hostile tests/flips tests/inputs tests/fuzz tests/model $(ARGS)

check: lint types layers test docs

clean:
	rm -rf $(VENV) $(LOWEST) build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
