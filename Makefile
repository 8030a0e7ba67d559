# `make` lists the targets. Each one makes the environment in .venv first, if it is missing;
# test-guests and test-beyond have one each of their own.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 3
BIN := $(VENV)/bin
CHROMIUM := command -v chromium || command -v chromium-browser
GUESTS := torch,dali,grain,spdl,webdataset,datasets
# The slowest tests are printed, so that they are noticed.
SLOWEST := --durations 8 --durations-min 5
TOGETHER := --numprocesses $(JOBS) $(SLOWEST)
# A process runs all tests of a file, which share what they measure; LONG in tests/conftest.py says
# which files come first.
BY_FILE := $(TOGETHER) --dist loadfile --no-loadscope-reorder
# Tests that follow a document, install the package, or run a whole command or script for half a
# minute.
DOCUMENTS := tests/docs tests/test_new_loader.py tests/test_package.py \
	$(addprefix tests/bench/, commands/test_quickstart.py compare/test_action.py compare/test_measure.py)
NOT_TOGETHER := $(addprefix --ignore , tests/browser tests/examples $(DOCUMENTS))

.DEFAULT_GOAL := help
.PHONY: help quickstart lint test test-together test-alone test-browser test-examples test-docs test-guests test-beyond guests beyond micro docs clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo '  Variables: PYTHON=$(PYTHON) makes the environment, VENV=$(VENV) holds it, JOBS=$(JOBS) tests run at once.'

quickstart: $(VENV)/installed  ## install, then choose a loader and train on generated photos
	$(BIN)/feedbench quickstart

lint: $(VENV)/installed-dev  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint test-together  ## lint, then the tests that can run in parallel, which are most
	@echo 'Not part of this: make test-alone, make test-browser, make test-examples, make test-docs, make test-guests, make test-beyond.'
	@$(CHROMIUM) > /dev/null || echo 'Chromium is not installed: the page that feedbench report writes CANNOT BE TESTED here; apt-get install chromium' >&2

# Without bytecode each of hundreds of processes would compile Feedbench again.
test-together: $(VENV)/installed-dev  ## the same without lint
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest $(NOT_TOGETHER) -m "not alone and not beyond" $(BY_FILE)

test-alone: $(VENV)/installed-dev  ## the tests that measure injected bottlenecks, one at a time
	$(BIN)/python -m pytest -m "alone and not beyond" $(SLOWEST)

test-browser: $(VENV)/installed-dev  ## the tests of reports in Chromium
	@$(CHROMIUM) > /dev/null || { echo 'test-browser needs Chromium: apt-get install chromium' >&2; exit 1; }
	$(BIN)/python -m pytest tests/browser

test-examples: $(VENV)/installed-dev  ## the tests that run every command on the examples
	$(BIN)/python -m pytest tests/examples $(TOGETHER) --dist worksteal

test-docs: $(VENV)/installed-dev  ## the tests of the documents, with all their commands and code, and of the package
	$(BIN)/python -m pytest $(DOCUMENTS) $(TOGETHER) --dist worksteal

test-guests:  ## the tests that need optional packages
	$(MAKE) VENV=$(VENV)-guests guests

test-beyond:  ## the tests of several devices, machines and object storage, with injected failures
	$(MAKE) VENV=$(VENV)-beyond beyond

beyond: $(VENV)/installed-beyond
	$(BIN)/python -m pytest -m beyond $(BY_FILE)

guests: $(VENV)/installed-guests
	$(BIN)/python -m pytest -m guests $(BY_FILE)

micro: $(VENV)/installed-dev  ## micro-benchmarks, saved under .benchmarks/
	$(BIN)/python -m pytest tests/micro tests/browser --benchmark-enable --benchmark-only --benchmark-autosave

docs: $(VENV)/installed-docs  ## build the documentation site into site/ and check all links
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:  ## remove the environment and all caches
	rm -rf $(VENV) $(VENV)-guests $(VENV)-beyond build site *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .grimp_cache

# A new target goes above this line, with its `##` text, and into .PHONY.

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("feedbench needs Python 3.11 or newer; name one: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[report]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

$(VENV)/installed-guests: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,jax,tensorboard,$(GUESTS)]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ffcv]' || \
		echo 'ffcv CANNOT BE TESTED here; it is built with: apt-get install libopencv-dev libturbojpeg0-dev pkg-config' >&2
	touch $@

$(VENV)/installed-beyond: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[beyond]'
	touch $@
