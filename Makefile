# Two commands do all: `make quickstart` and `make test`. Each makes its own environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: quickstart test lint micro clean

quickstart: $(VENV)/installed
	$(BIN)/feedbench quickstart

test: lint
	$(BIN)/python -m pytest -m "not alone" --numprocesses 2 --dist loadfile
	$(BIN)/python -m pytest -m alone

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

micro: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/micro --benchmark-enable --benchmark-only --benchmark-autosave

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("feedbench needs Python 3.11 or newer; name one: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
