# GNU make. Everything is installed into $(VENV); no node is needed on the machine.

PYTHON ?= python3
VENV ?= .venv
# The CPU build: without this index, Linux gets several GB of CUDA. If the index cannot be reached, pip says so and takes
# what it finds elsewhere. Another build, e.g.: make lab TORCH="torch --index-url <address of that build's index>"
TORCH ?= torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
NOTEBOOK ?= notebooks/01_first_federation.ipynb
LAB_FLAGS ?=
# JupyterLab refuses to run as root unless told so; in a container there is often nobody else.
ROOT_FLAG := $(if $(filter 0,$(shell id -u)),--allow-root)
# Tests run in two processes; tests/conftest.py says which of them stay together. PYTEST_FLAGS="-n 0" runs all in one.
PYTEST_WORKERS := -n 2 --dist loadfile --no-loadscope-reorder
PYTEST_FLAGS ?=
BENCH_FLAGS ?=
SOAK_FLAGS ?=
SCALE_FLAGS ?=
SECURE_FLAGS ?=
STUDY_FLAGS ?=
DEMO_FLAGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMPS := $(VENV)/.make
EXTENSION := $(wildcard extension/*.json extension/.npmrc extension/schema/*.json extension/src/*.ts extension/src/*.tsx extension/style/*)
SOURCES := pyproject.toml install.json $(wildcard jupyter-config/*.json) $(EXTENSION)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lab demo test check lint types floors bench bench-secure soak scale study wheel install install-test chromium clean FORCE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do \
	    printf '  make %-13s %s\n' "$$target" "$$text"; done

lab: install ## install into .venv and open JupyterLab on the first notebook (LAB_FLAGS="--no-browser --port=8890")
	@echo "==> JupyterLab opens $(NOTEBOOK); stop it with Ctrl-C"
	$(BIN)/jupyter lab --ServerApp.root_dir='$(CURDIR)' --LabApp.default_url='/lab/tree/$(NOTEBOOK)' $(ROOT_FLAG) $(LAB_FLAGS)

demo: install ## a federation in the terminal, without JupyterLab
	$(BIN)/fi-workbench demo $(DEMO_FLAGS)

test: install-test chromium ## run the tests and the examples in docstrings (PYTEST_FLAGS="-k name")
	$(BIN)/python -m pytest $(PYTEST_WORKERS) $(PYTEST_FLAGS)

check: lint types floors test ## all that must hold before a change goes in

lint: install-test ## style of Python and TypeScript
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	cd extension && PATH="$(abspath $(BIN)):$$PATH" && { test -d node_modules || npm ci; } && npm run --silent check

types: install-test ## static types
	$(BIN)/mypy

floors: install-test ## who may import whom
	$(BIN)/lint-imports

bench: install-test ## the benchmarks, each with its baseline in the same run
	$(BIN)/python -m benchmarks $(BENCH_FLAGS)

bench-secure: install-test ## secure inference beside CrypTen and SPU, in environments of their own (SECURE_FLAGS="--long")
	$(BIN)/python -m benchmarks.secure $(SECURE_FLAGS)

soak: install-test ## half an hour of rounds while parties are killed and restarted (SOAK_FLAGS="--seconds 180")
	$(BIN)/python -m benchmarks.soak $(SOAK_FLAGS)

scale: install-test ## how a round's cost grows: parties, batch, classes, bytes, rounds at once (a quarter of an hour)
	$(BIN)/python -m benchmarks.scale $(SCALE_FLAGS)

study: install-test ## which rule wins under which skew: an hour or two the first time; goes on where it was stopped
	$(BIN)/python -m benchmarks.skew_study $(STUDY_FLAGS)

wheel: install-test ## build dist/*.whl with a freshly built JupyterLab extension
	rm -rf fi_workbench/labextension dist
	$(BIN)/python -m build --wheel

clean: ## delete what was built, but keep the virtual environment
	rm -rf build dist fi_workbench/labextension extension/lib extension/node_modules
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis artifacts
	find fi_workbench tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

install: $(STAMPS)/lab ## install for use, without opening anything

install-test: $(STAMPS)/test ## install for development: tests and linters too

chromium: # for the browser tests, and iproute2 for those in namespaces; without them they skip with a reason
	@if command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "==> installing Chromium for the browser tests"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
	        || echo "==> Chromium could not be installed: the browser tests will skip"; \
	else echo "==> no Chromium found: the browser tests will skip (install the package chromium to run them)"; fi
	@if command -v ip >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "==> installing iproute2 for the tests in network namespaces"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iproute2; } \
	        || echo "==> iproute2 could not be installed: the tests in network namespaces will skip"; \
	fi

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than Python 3.11; choose another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Holds the text of TORCH, and changes only when that does.
$(STAMPS)/torch-choice: FORCE | $(BIN)/python
	@mkdir -p $(STAMPS) && { echo '$(TORCH)' | cmp -s - $@ || echo '$(TORCH)' > $@; }

# --no-deps: only torch itself is asked of that index; one attempt, so that a machine that cannot reach it waits little.
$(STAMPS)/torch: $(STAMPS)/torch-choice
	@echo "==> installing $(TORCH)"
	$(PIP) install --quiet --no-deps --retries 1 --timeout 15 $(TORCH)
	@touch $@

$(STAMPS)/lab: $(STAMPS)/torch $(SOURCES)
	@echo "==> installing fi-workbench and what it needs (a few minutes the first time)"
	$(PIP) install --quiet --editable .
	@touch $@

$(STAMPS)/test: $(STAMPS)/torch $(SOURCES)
	@echo "==> installing fi-workbench, what it needs, and the tools for its tests (a few minutes the first time)"
	$(PIP) install --quiet --editable '.[test]'
	@touch $(STAMPS)/lab $@
