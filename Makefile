# `make demo` and `make test` are all that a newcomer needs; both make their environment first.
PYTHON ?= python3
# Extra options for pip, e.g. an index with CPU builds of torch.
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
QGIS_VENV := .venv-qgis
QGIS_PYTHON ?= /usr/bin/python3
PYTEST_ARGS ?=
# One process per core, up to four, each with one thread: threads that share a core wait for it.
IN_CORES = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses=4 --dist loadfile
CORE_TESTS := tests/core tests/test_import_contract.py tests/test_project_files.py

.PHONY: docs sync help env demo test lint test-core coverage test-plugin package pins link screenshots clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ \t/' | expand -t 16

env: $(VENV)/.done ## Make the engine's environment

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed: make PYTHON=/path/to/python" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.done ## Segment the sample raster with the embedded model; say where the result is
	$(BIN)/python tools/demo.py

test: lint docs test-core test-plugin ## Everything

lint: $(VENV)/.done ## Style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict core
	$(BIN)/lint-imports

test-core: $(VENV)/.done ## The engine's tests
	$(IN_CORES) $(CORE_TESTS) $(PYTEST_ARGS)
	$(IN_CORES) tests/fuzz $(PYTEST_ARGS)

coverage: $(VENV)/.done ## The engine's tests, and which lines and branches they ran: build/coverage
	$(IN_CORES) $(CORE_TESTS) $(PYTEST_ARGS) \
		--cov --cov-report=term:skip-covered --cov-report=html:build/coverage --cov-report=xml:build/coverage.xml

$(QGIS_VENV)/.done: constraints.txt tools/install_qgis.sh
	tools/install_qgis.sh $(QGIS_PYTHON) $(QGIS_VENV)
	@mkdir -p $(QGIS_VENV) && touch $@

test-plugin: $(VENV)/.done $(QGIS_VENV)/.done ## The plugin's tests, in this machine's QGIS
	tools/test_plugin.sh $(QGIS_VENV) $(PYTEST_ARGS)
	$(BIN)/python -m pytest -q tests/test_package.py

$(VENV)/.docs: $(VENV)/.done
	$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[docs]'
	touch $@

docs: $(VENV)/.docs ## Build the documentation site in build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q --strict

sync: ## Copy what plugin and engine share: core/job, and the styles of results
	rm -rf samgeo_plugin/job
	mkdir samgeo_plugin/job
	cp core/job/*.py samgeo_plugin/job/
	cp core/layers/*.qml samgeo_plugin/resources/styles/

package: $(VENV)/.done ## Build dist/samgeo_seamless-X.Y.Z.zip
	$(BIN)/python tools/package.py

pins: $(VENV)/.done ## Ask the package index whether constraints.txt fits each Python and system
	$(BIN)/python tools/check_pins.py

link: ## Link the plugin into this user's QGIS profile, for development
	$(PYTHON) tools/link.py

screenshots: $(VENV)/.done package ## Drive a real QGIS window; its pictures go into build/ and docs/images
	SAMGEO_PYTHON=$(CURDIR)/$(BIN)/python $(QGIS_PYTHON) tests/gui/screenshots.py --out build/screenshots --docs docs/images
	SAMGEO_PYTHON=$(CURDIR)/$(BIN)/python $(QGIS_PYTHON) tests/gui/screenshots.py --out build/help --script tests/gui/qgis_help.py
	$(BIN)/python tools/animate.py build/help samgeo_plugin/resources/help

clean: ## Remove environments and everything built
	rm -rf $(VENV) $(QGIS_VENV) build dist demo *.egg-info
