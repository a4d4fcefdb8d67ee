# `make setup` is the only target that needs the network, and that only once; `audit` and `lock` ask the outside too.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := build/peers
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: setup test faults forget-outcomes check format lint types imports demo bench compose lock audit clean

setup: $(READY)
	@$(BIN)/python -m deploy.local.jars

# The stamp comes last: an interrupted set-up is taken up again, and pip leaves alone what already fits.
$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	    || { rm -rf $(VENV); echo "Python 3.11 or newer with its venv module is needed (Debian: python3-venv)"; exit 1; }
	@echo "installing the locked Python packages"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $(READY)

# The whole tree; what fails fastest comes first. One process for each processor shares what mostly waits for platforms, up
# to four, each on a platform of its own; the attacks stay in one, where all of them are compared with what
# docs/privacy-of-statistics.md says.
SHARED := -n logical --maxprocesses 4 --dist loadfile
test: forget-outcomes check
	$(BIN)/python -m pytest --durations=10 $(SHARED) tests/contract tests/integration tests/acceptance
	$(BIN)/python -m pytest --durations=10 tests/attacks
	$(BIN)/python -m pytest --durations=10 $(SHARED) tests/faults
	$(BIN)/python -m tests.promises

# Everything the platform is said to survive, within the hour: docs/faults.md. All chance is drawn from the seed; another
# run: make faults SEED=7
SEED ?= 20261123
faults: setup
	$(BIN)/python -m pytest tests/faults --full $(SHARED) --durations=15 --seed $(SEED)
	LETHE_EXAMPLES=20 $(BIN)/python -m pytest $(SHARED) --hypothesis-seed=$(SEED) \
	    tests/unit/test_keyring_machine.py tests/unit/test_erasure_machine.py tests/unit/fuzz
	$(BIN)/python -m tests.faults.mutants

# What earlier runs passed shows nothing about this one.
forget-outcomes:
	@rm -f build/outcomes.json

# What to run before every commit: no network, no platform.
check: setup format lint types imports
	$(BIN)/python -m pytest tests/unit

format:
	$(BIN)/ruff format --check

lint:
	$(BIN)/ruff check

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports --no-logo

demo: setup
	$(BIN)/lethe demo

# Some 15 minutes, on a machine that does nothing else; writes build/bench.json and the tables of docs/benchmarks.md.
bench: setup $(PEERS)/.ready
	$(BIN)/python -m tests.benchmarks

# What the workers are measured beside lives in an environment of its own, so that the project's lock stays small.
$(PEERS)/.ready: tests/benchmarks/requirements.lock
	@$(PYTHON) -m venv $(PEERS)
	@echo "installing the locked packages of the other contestants"
	@$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

# Writes docker-compose.yml from the same settings as the embedded platform; a test fails when it is out of date.
compose: setup
	$(BIN)/python -m deploy.compose

audit: setup
	$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip

# Needs `uv`. The locks name no index, so an organisation's own mirror works unchanged.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header --quiet
lock:
	$(LOCK) --extra local --extra dev --output-file requirements.lock
	$(LOCK) --constraint requirements.lock --output-file deploy/docker/requirements.lock
	$(subst pyproject.toml,tests/benchmarks/requirements.in,$(LOCK)) --output-file tests/benchmarks/requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info
