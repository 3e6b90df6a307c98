# A fresh machine needs only make and Python 3.11. Everything else goes to .venv, by hash; `make clean` forgets it.

PYTHON ?= python3
ARGS ?=

PORTABLE := $(foreach name,worker exec output run inline when beside desk deal,tests/worker/test_$(name).py)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
LOCK := $(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(ARGS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test portable check fix storm mutants bench coverage lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.run ## run the example: a report from the standard library, in dependent jobs
	@$(BIN)/python examples/stdlib_report.py $(ARGS)

test: $(VENV)/.dev ## run the tests (ARGS="-m 'not slow' tests/graph" for some of them)
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal $(ARGS)

portable: $(VENV)/.dev ## run the tests of workers once more, with all hidden that Windows lacks
	@PYTHONPATH=$(CURDIR)/tests/portable $(BIN)/python -m pytest -q -n 2 --dist worksteal \
		-k "not (postgres or redis or directory)" $(PORTABLE)

check: $(VENV)/.dev ## check format, lint, types and layers
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted; 'make fix' does it" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --strict ramify $(wildcard tests/typing)
	@for system in win32 darwin; do $(BIN)/mypy --strict --platform $$system ramify || exit 1; done
	@$(BIN)/lint-imports --no-logo

fix: $(VENV)/.dev ## format, and repair what the linter can
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

storm: $(VENV)/.dev ## kill, freeze, stop and starve workers for hours, and explore the algebra (CI does a fiftieth)
	@STORM_JOBS=10000 STORM_KILLS=500 $(BIN)/python -m pytest -q -s -k t1_ tests/worker/test_storm.py
	@STORM_POINTS=1 $(BIN)/python -m pytest -q tests/worker/test_points.py
	@STORM_RESTARTS=100 $(BIN)/python -m pytest -q -s -k t11 tests/worker/test_storm.py
	@STORM_JOBS=2000 STORM_KILLS=40 STORM_STORE=40 $(BIN)/python -m pytest -q -s -k "t1_ and postgres" tests/worker/test_storm.py
	@STORM_TRANSFERS=4000 STORM_KILLS=60 $(BIN)/python -m pytest -q -s tests/examples/test_bank.py
	@STORM_ORPHANS=200 $(BIN)/python -m pytest -q -s tests/worker/test_orphans.py
	@STORM_FREEZES=40 STORM_FROZEN=25 $(BIN)/python -m pytest -q -s tests/worker/test_freeze.py
	@STORM_FULL=50 $(BIN)/python -m pytest -q -s tests/worker/test_full_disk.py
	@STORM_STOPS=500 STORM_ROLLS=50 $(BIN)/python -m pytest -q -s tests/pool/test_deploy.py
	@STORM_DAMAGE=1000 STORM_LOOKS=1000 $(BIN)/python -m pytest -q -s tests/cli/test_doctor.py tests/cli/test_damage.py
	@STORM_DOCUMENTS=1000000 STORM_NAMES=10000 $(BIN)/python -m pytest -q -s --timeout=3600 tests/security
	@STORM=2000 $(BIN)/python -m pytest -q --timeout=3600 tests/stores/test_machine.py
	@$(BIN)/python -m pytest -q --timeout=3600 -m storm

mutants: $(VENV)/.dev ## break ramify in many ways, and see that the tests notice each (ARGS="fence pool" for some)
	@$(BIN)/python -m tests.mutants $(ARGS)

bench: $(VENV)/.dev ## measure
	@$(BIN)/python -m bench $(ARGS)

coverage: $(VENV)/.dev ## run the tests of the requirements' checklist, and write which line passed where
	@$(BIN)/python -m tests.compat.coverage

lock: $(VENV)/.dev ## write the lock files anew (ARGS=--upgrade for newer versions)
	@$(LOCK) --group build -o requirements.lock
	@$(LOCK) --group dev --all-extras -c requirements.lock -o requirements-dev.lock

clean: ## remove .venv, caches and builds
	@rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps are touched last: what was interrupted is done again.

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here; name a Python: make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "ramify needs Python 3.11 or newer, and $(PYTHON) is older; name another: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/.made
$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/.made
$(VENV)/.run $(VENV)/.dev:
	@echo "installing $< into $(VENV)"
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
