# `make demo` and `make test` are the two commands for a fresh machine.
PYTHON ?= python3
# `make demo MMCV=full` takes an mmcv with compiled operators in place of mmcv-lite.
MMCV ?= lite
PIP_INSTALL = .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable
# Threads wait as the commands of segheads let them: fast, and polite on a busy machine.
RUN = GOMP_SPINCOUNT=10000 .venv/bin/python

.PHONY: demo web bench test lint docs

demo: .venv/installed
	$(RUN) tools/demo.py

web: .venv/installed-web
	$(RUN) tools/serve.py

bench: .venv/installed
	$(RUN) -m benchmarks.run

# One thread for each of the processes that share the tests.
test: .venv/installed-test
	$(MAKE) lint
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: .venv/installed-test
	.venv/bin/ruff check
	.venv/bin/ruff format --check

docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

.venv:
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip

.venv/installed: EXTRAS = $(MMCV)
.venv/installed-web: EXTRAS = $(MMCV),web
.venv/installed-docs: EXTRAS = $(MMCV),docs
.venv/installed-test: EXTRAS = $(MMCV),test

.venv/install%: setup.py constraints.txt | .venv
	@echo 'Installing segheads and PyTorch into .venv; this takes some minutes.'
	$(PIP_INSTALL) ".[$(EXTRAS)]"
	touch $@
