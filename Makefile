# Needs python3 (3.11 or later), python3-venv and make; everything else comes into .venv.
#
#   make demo     install, then ingest and search the small server in fixtures/tour
#   make test     style, types, import order, tests
#   make fuzz     the property tests once more, on inputs that no run has seen
#   make golden   write what the fixtures and the README expect anew; read the diff
#   make bench    measure speed and memory
#   make format   let ruff mend and format the source
#   make clean    remove what the above made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
TESTS ?= tests

.DELETE_ON_ERROR:
.PHONY: demo test fuzz golden bench format clean

demo: $(VENV)/installed
	@$(BIN)/archivore demo

test: $(VENV)/developing
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "make format puts this right"; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo >$(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@$(BIN)/pytest -n auto $(TESTS)

fuzz: $(VENV)/developing
	@$(BIN)/pytest -n auto -m hypothesis --hypothesis-profile=wild $(TESTS)

golden: $(VENV)/developing
	@$(BIN)/python fixtures/build.py
	@ARCHIVORE_GOLDEN=write $(BIN)/pytest -n auto tests/test_fixtures.py tests/test_readme.py
	@git --no-pager diff --stat -- fixtures README.md

bench: $(VENV)/developing
	@for file in tests/benchmarks/[a-z]*.py; do $(BIN)/python "$$file" || exit 1; done

format: $(VENV)/developing
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

clean:
	@rm -rf $(VENV) build demo *.egg-info search/engine/_kernel.*.so indexer/handlers/_four_keys.*.so .mypy_cache .ruff_cache .hypothesis .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { echo "a virtual environment is needed: apt install python3-venv"; exit 1; }

# The source is read in place (-e), so an installation is stale only when its declarations or what is compiled change.
$(VENV)/installed: pyproject.toml search/engine/_kernel.c indexer/handlers/_four_keys.c | $(BIN)/python
	@echo "installing into $(VENV) ..."
	@$(PIP) install -e .
	@touch $@

$(VENV)/developing: pyproject.toml $(VENV)/installed | $(BIN)/python
	@echo "installing what the tests need ..."
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install -e '.[all]' --group dev
	@touch $@
