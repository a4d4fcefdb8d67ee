# Every target works offline once `make setup` has run.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: setup lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
	@touch $(READY)

# Needs `uv`. The lock names no index, so an organisation's own mirror works unchanged.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header --quiet
lock:
	$(LOCK) --extra local --extra dev --output-file requirements.lock
	$(LOCK) --constraint requirements.lock --output-file deploy/docker/requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info
