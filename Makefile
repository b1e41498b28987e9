# make alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LISTED := https://pypi.org/pypi/pip/24.0/json
WHOLE := tests/end_to_end tests/assets/compute tests/assets/whole_screens
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test endtoend newcomer notebooks docs check audit ui bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## create .venv with the pinned dependencies

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pcip needs Python 3.11 or newer, found " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet -c constraints.txt --no-deps cp_measure centrosome  # centrosome asks for an old pillow
	touch $(READY)

demo: $(READY) ## process two simulated screens from images to benchmark
	$(BIN)/pcip demo

test: $(READY) ## run the tests, except those of endtoend
	$(PYTEST) $(addprefix --ignore=,$(WHOLE))

endtoend: $(READY) ## take screens from images to scores, use pages in a browser, a Ray cluster, a bucket and servers
	$(PYTEST) $(WHOLE)

newcomer: $(READY) ## use a wheel of pcip in an empty environment and an empty folder, and move that folder
	$(BIN)/python -m tests.newcomer.newcomer $(if $(KEEP),--keep "$(KEEP)") $(if $(WITH),--python "$(WITH)" --packages)

notebooks: $(READY) ## execute the notebooks in a copy of WORKSPACE, which has the small demo, or in a new one
	$(BIN)/python -m tests.newcomer.notebooks $(if $(WORKSPACE),--workspace "$(WORKSPACE)")

docs: $(READY) ## build the documentation as a site in build/site, with warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

check: $(READY) ## run lint, types and every test, and look for known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)
	$(MAKE) --no-print-directory audit

audit: $(READY) ## look the pinned packages up in PyPI's list of known vulnerabilities, if it can be read
	@if $(BIN)/python -c 'import requests; requests.get("$(LISTED)", timeout=20).json()["vulnerabilities"]' 2>/dev/null; \
	then $(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict; \
	else echo "known vulnerabilities: not looked up, because $(LISTED) cannot be read here"; fi

ui: $(READY) ## serve Dagster and MLflow on 127.0.0.1
	$(BIN)/pcip ui

bench: $(READY) ## run every benchmark except the long ones (`pcip bench` lists them); results in benchmarks/results/
	$(BIN)/pcip bench --all

clean: ## remove .venv and everything under data/ except the specs
	rm -rf $(VENV) build dist && find data -mindepth 1 -maxdepth 1 ! -name screens -exec rm -rf {} +
