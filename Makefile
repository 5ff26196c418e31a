# Holdfast: `make up` runs it, `make test` tests it; `make help` lists the rest.
#
# Every target sets up what it needs, in .venv and in the tree: git, make, gcc
# and Python 3.11 with headers are enough. A second run does only what changed.

PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3))
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
ARGS ?=
# Test processes: one a core, never fewer than two (the suite must not need one).
WORKERS ?= $(shell test $(JOBS) -gt 2 && echo $(JOBS) || echo 2)

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
# Stamps. Each one stands for a step that was finished; none is made by hand.
CREATED := $(VENV)/.created
INSTALLED := $(VENV)/.installed
LINKED := $(VENV)/.linked

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up test check bench debug debug-sanitize debug-trace build lock pages sdist clean peers

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

up: build ## run a whole deployment on 127.0.0.1:6379 (ARGS="--port 7000 --replicas 3")
	@exec $(BIN)/holdfast up $(ARGS)

test: peers check ## run all tests, against the real peers too (ARGS= for pytest)
	@status=0; \
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal $(ARGS) || status=$$?; \
	tools/peers.sh report || status=1; \
	exit $$status

check: build ## ruff, mypy --strict, import contracts, cython-lint, docs
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > build/lint-imports.log || { cat build/lint-imports.log; exit 1; }
	@PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src
	@$(RUN) -m pytest -q -p no:xdist tests/test_repository.py

bench: build ## compare with redis-server, side by side (ARGS="--quick")
	$(RUN) -m bench $(ARGS)

debug: debug-sanitize debug-trace ## both debug builds, each with the engine's tests

debug-sanitize: $(INSTALLED) ## the engine's tests under AddressSanitizer (ARGS= tests)
	tools/debug.sh sanitize $(RUN) $(JOBS) $(ARGS)

debug-trace: $(INSTALLED) ## the engine's tests with line tracing, and what they cover
	tools/debug.sh trace $(RUN) $(JOBS) $(ARGS)

build: $(LINKED) ## compile the extensions in place
	@mkdir -p build
	@$(RUN) setup.py --quiet build_ext --inplace -j $(JOBS) > build/build.log 2>&1 || \
		{ cat build/build.log; exit 1; }

peers:
	@tools/peers.sh install

lock: $(INSTALLED) ## pin the dependencies anew (ARGS=--upgrade)
	tools/lock.sh $(RUN) $(ARGS)

pages: build ## write docs/configuration.md, commands.md and scenarios.md anew
	@PYTHONPATH=src $(RUN) tools/reference_pages.py

sdist: $(INSTALLED) ## the source distribution, into dist/
	$(RUN) -m build --sdist --no-isolation

clean: ## remove everything that was built, .venv too
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf src/*.egg-info
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +
	find src -name '*.so' -delete
	find src -name '*.pyx' | sed 's/pyx$$/c/' | xargs rm -f

$(CREATED):
	@tools/venv.sh "$(PYTHON)" $(VENV)
	@touch $@

$(INSTALLED): requirements.lock $(CREATED)
	@echo "Installing the pinned dependencies"
	@$(RUN) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# An editable install without its extensions, which `build` compiles in place:
# gives the commands of the package, and src on the path.
$(LINKED): pyproject.toml setup.py $(INSTALLED)
	@HOLDFAST_NO_EXTENSIONS=1 $(RUN) -m pip install -qq --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	@touch $@
