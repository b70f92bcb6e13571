# One command for each thing a person wants. Everything below runs in .venv, which `uv` fills from uv.lock.
.DEFAULT_GOAL := help
.PHONY: help up down status logs reset test unit check format bench

PYTHON := .venv/bin/python
UV_VERSION := 0.13.9

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

.venv/.ready: pyproject.toml uv.lock
	@command -v uv >/dev/null && uv sync --frozen --quiet || { \
	  python3 -m venv .venv/bootstrap && .venv/bootstrap/bin/pip install --quiet uv==$(UV_VERSION) && .venv/bootstrap/bin/uv sync --frozen --quiet; }
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

