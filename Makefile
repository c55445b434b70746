# Every target creates and uses .venv; `make PYTHON=python3.12 test` picks another interpreter for it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One process for each core; a file's tests share one process, and with it the layers compiled there.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
# TensorFlow keeps what XLA compiled until its process ends: all tests in two processes take more than 20 GB. So they run
# in parts, each in processes of its own; a part that fails stops none of the others.
PARTS := "tests/runtime" "tests/keras" "tests/fit tests/cli" "tests --ignore=tests/runtime --ignore=tests/keras --ignore=tests/fit --ignore=tests/cli"
# A build for the CPU of this release lies on CI's disk; a range would fetch several GB for GPUs.
TORCH := torch==2.13.0
RUN_TESTS := failed=0; for part in $(PARTS); do $(PYTEST) $$part || failed=1; done; exit $$failed

# A magnitude for each of the six rates that the demo infers.
GUESS := r1=0.1,r2=0.1,a1=0.001,a2=0.001,iN1=0.001,iN2=0.001

.PHONY: help install demo test test-backends check format docs benchmarks clean
.DEFAULT_GOAL := help

help:
	@echo "make demo        solve and fit the two-species example; the pictures land in demo/"
	@echo "make test        the tests"
	@echo "make test-backends  the tests of the Keras back ends, on torch too"
	@echo "make check       format, lint, types and tests: what CI asks"
	@echo "make format      put the code into the house format"
	@echo "make docs        the documentation, as a site in site/"
	@echo "make benchmarks  odec beside its peers, as tables"
	@echo "make clean       remove .venv and what was built"

install: $(STAMP)

# The stamp is written last, so that an install that broke off is done again.
$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "odec needs Python 3.11 or later: make PYTHON=python3.12")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(STAMP)
	@mkdir -p demo
	$(BIN)/odec solve examples/competition/model.ode -o demo/competition.csv --plot demo/competition.png
	$(BIN)/odec fit examples/competition/model.ode examples/competition/data.csv --step 1 --set $(GUESS) -o demo/fit
	@echo
	@echo "solved: demo/competition.csv, drawn in demo/competition.png"
	@echo "fitted: demo/fit/, drawn in" demo/fit/*.png
	@echo "(with the article's step of 1, which is what the warning is about)"

test: $(STAMP)
	@$(RUN_TESTS)

# TensorFlow's numbers are what torch's are compared with.
test-backends: $(STAMP)
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(BIN)/python -m pytest tests/backends -k torch

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(RUN_TESTS)

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The theme's makers warn of a MkDocs 2 that this does not use.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m mkdocs build --strict --quiet

benchmarks: $(STAMP)
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) build dist demo site .pytest_cache .mypy_cache .ruff_cache .hypothesis
