# One command for each thing a person wants. Everything below runs in .venv, which `uv` fills from uv.lock.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up down status logs reset format check unit python test test-compose faults bench tools

PYTHON := .venv/bin/python
UV_VERSION := 0.13.9
VERSION := 3.13

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

.venv/.ready: pyproject.toml uv.lock local/bootstrap.sh
	@sh local/bootstrap.sh $(UV_VERSION)
	@touch $@

up: .venv/.ready      ## start the whole system and print its address
	@$(PYTHON) -m local up

down: .venv/.ready    ## end everything `up` started
	@$(PYTHON) -m local down

status: .venv/.ready  ## every process with its address and state
	@$(PYTHON) -m local status

logs: .venv/.ready    ## the last lines of every log
	@$(PYTHON) -m local logs

reset: .venv/.ready   ## end everything and delete the data
	@$(PYTHON) -m local reset

format: .venv/.ready  ## put the code into the one form that `check` asks for
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

check: .venv/.ready tools  ## formatter, linters, types and layers of everything
	@.venv/bin/ruff format --check . && .venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports | tail -n 5
	@cd frontend && npm run --silent check

unit: .venv/.ready    ## the tests that need no server: seconds
	@.venv/bin/pytest -q tests/unit

python: .venv/.ready  ## the API's tests on another Python of this machine: make python VERSION=3.13
	@uv=$$(command -v uv || echo .local/uv/bin/uv); UV_PROJECT_ENVIRONMENT=.local/python-$(VERSION) \
	$$uv run --frozen --quiet --no-python-downloads --python $(VERSION) pytest -q tests/unit tests/integration -k api

test: check           ## all checks and all tests, on servers of their own; leaves nothing running
	@cd frontend && npm test --silent && cat dist/sizes.txt
	@.venv/bin/pytest -q

test-compose: .venv/.ready  ## compose.yaml on a Docker engine, with stand-ins for official images that are not there; ten minutes
	@TEST_COMPOSE=1 .venv/bin/pytest -q -s --timeout 900 tests/compose

faults: .venv/.ready  ## every server away for 30 s, killed and hanging, every process of ours frozen; fifteen minutes
	@FAULT_SECONDS=30 .venv/bin/pytest -q --timeout 300 tests/faults/test_outages.py tests/faults/test_frozen.py

bench: .venv/.ready   ## from commit to reader, against the running system
	@$(PYTHON) -m bench delay

tools: .venv/.ready   ## install what the checks and tests need beside the system itself
	@$(PYTHON) -m local install tests
