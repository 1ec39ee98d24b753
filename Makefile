# Two commands on a fresh machine do everything: `make demo` and `make test`.
# Each target creates .venv itself from the hash-pinned locks in requirements/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -q

.PHONY: demo test needs soak bench lint docs lock clean

$(VENV)/.core: requirements/core.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/core.txt
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/build.txt
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.core
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.demo: requirements/demo.txt $(VENV)/.core
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/demo.txt
	@touch $@

demo: $(VENV)/.demo            ## watch a simulated month in a minute, on a live dashboard
	@$(BIN)/vanished demo --serve

# Three processes on two cores: a third of the time a test waits for a server or a clock.
WORKERS ?= 3
# And compiled files are kept, or each of some thousand commands that tests start compiles anew.
test soak: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.dev needs       ## all tests; NAME=… for one file or folder
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(or $(NAME),tests) -m "not soak"

needs:                         ## the Debian programs that tests start, where we may install them
	@.ci/needs

soak: $(VENV)/.dev             ## the long runs
	@$(BIN)/python -m pytest tests -m soak

bench: $(VENV)/.dev            ## all benchmarks, or NAME=watch
	@$(BIN)/python -m bench $(NAME)

lint: $(VENV)/.dev             ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(VENV)/.dev             ## write what the docs take from the code: commands, the labelled set
	@$(BIN)/python -m typer vanished.cli utils docs --name vanished --title Commands --output docs/commands.md
	@$(BIN)/python -m tests.labelled.measuring

lock:                          ## renew the locks (needs uv on the PATH); they name no index host
	$(COMPILE) pyproject.toml -o requirements/core.txt
	$(COMPILE) requirements/build.in -o requirements/build.txt
	$(COMPILE) requirements/synapse.in -o requirements/synapse.txt
	$(COMPILE) requirements/auto-archiver.in -o requirements/auto-archiver.txt
	$(COMPILE) requirements/changedetection.in -o requirements/changedetection.txt
	$(COMPILE) requirements/wacz.in -o requirements/wacz.txt
	$(COMPILE) requirements/bs4.in -o requirements/bs4.txt
	$(COMPILE) requirements/datasketch.in -o requirements/datasketch.txt
	$(COMPILE) requirements/oonidata.in -o requirements/oonidata.txt
	$(COMPILE) requirements/sklearn.in -o requirements/sklearn.txt
	$(COMPILE) requirements/datasette.in -o requirements/datasette.txt
	$(COMPILE) --extra explain --extra publish -c requirements/core.txt pyproject.toml -o requirements/demo.txt
	$(COMPILE) --group dev --extra explain --extra platforms --extra publish --extra reach -c requirements/core.txt -c requirements/build.txt pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
