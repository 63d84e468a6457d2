# Two commands for a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
# `make demo MMCV=full` takes an mmcv with compiled operators in place of mmcv-lite.
MMCV ?= lite
PIP_INSTALL = .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable

.PHONY: demo test lint

# Threads that wait by spinning would take the cores from whatever else runs on the machine.
demo: .venv/installed
	OMP_WAIT_POLICY=PASSIVE .venv/bin/python tools/demo.py

test: .venv/installed-test
	$(MAKE) lint
	.venv/bin/python -m pytest

lint: .venv/installed-test
	.venv/bin/ruff check
	.venv/bin/ruff format --check

.venv:
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip

.venv/installed: setup.py constraints.txt | .venv
	@echo 'Installing segheads and PyTorch into .venv; this takes some minutes.'
	$(PIP_INSTALL) ".[$(MMCV)]"
	touch $@

.venv/installed-test: setup.py constraints.txt | .venv
	@echo 'Installing segheads, PyTorch and the test tools into .venv; this takes some minutes.'
	$(PIP_INSTALL) ".[$(MMCV),test]"
	touch $@
