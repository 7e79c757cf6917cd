# affectstore: make help lists what there is to do

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
SHARED_LINKS := $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)",)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long lint bench clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# torch first, by its pinned version, so that no other build is pulled in behind it
$(VENV)/.ready: pyproject.toml constraints.txt requirements-no-deps.txt tests/requirements-no-deps.txt
	@echo "setting up $(VENV) (once; about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install -q --python $(BIN)/python $(SHARED_LINKS) --compile-bytecode -c constraints.txt torch && \
	  uv pip install -q --python $(BIN)/python $(SHARED_LINKS) --compile-bytecode -c constraints.txt -e '.[dev]'; \
	else \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch && \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r tests/requirements-no-deps.txt
	@touch $@

setup: $(VENV)/.ready  ## make .venv with everything in it

demo: setup  ## six made clips: ingest, plan, extract, status, pictures
	@$(BIN)/python -m flows.demo $(DEMO)

# in the order of their names: xdist would put files of few tests last, which are the long ones
test: setup  ## the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: setup  ## the tests that take longer, on all the real clips
	@$(BIN)/python -m pytest -m long

lint: setup  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup  ## side-by-side measurements
	@$(BIN)/python -m benchmarks

clean:  ## remove what make made
	rm -rf $(DEMO) $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
