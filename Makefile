# Every target does all of its own set-up; Python 3.11 or newer is all it needs.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SERVING := .venv/.serving
# Locks are complete, so that pip has nothing to look for. What serves is not compiled beforehand:
# that would take a quarter more room, for modules that are never imported.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The tests start hundreds of processes, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# Each part of the tests runs in a process of its own: grpc.aio is made for one event loop in a
# process, and crashed in one that had run hundreds of them. Two more at a time than there are
# processors, as they often wait. Longest first.
JOBS := $(shell $(PYTHON) -c 'import os; print(2 + max(2, os.cpu_count() or 2))')
PARTS := finding hostile postgres-core others http property faults rpc-2 system rpc-1 unit mcp languages storage
POSTGRES_PARTS := postgres-calls postgres-finding postgres-rpc-2 postgres-rpc-1
PATHS_rpc-1 := $(wildcard tests/rpc/test_[a-h]*.py)
PATHS_rpc-2 := $(filter-out $(PATHS_rpc-1),$(wildcard tests/rpc/test_*.py))
PATHS_others := tests --ignore tests/rpc $(patsubst %,--ignore tests/%,$(filter-out others rpc-% postgres-%,$(PARTS)))

# What hangs on the database runs on PostgreSQL, too: its core with the others, the rest by itself.
PATHS_postgres-core := tests/storage tests/races tests/replicas
PATHS_postgres-calls := tests/property tests/hostile tests/acceptance tests/faults
PATHS_postgres-finding := tests/finding tests/storage/test_tenants.py tests/storage/postgres/test_plans.py
PATHS_postgres-rpc-1 := $(PATHS_rpc-1)
PATHS_postgres-rpc-2 := $(PATHS_rpc-2) tests/cancellation tests/webhooks tests/deletion

# Lists and pages, where texts of the database itself have another order; Debian's packages have it.
ifneq ($(wildcard /usr/lib/postgresql/*/bin/initdb),)
POSTGRES_PARTS += postgres-collation
PATHS_postgres-collation := --collation=en-US tests/storage/test_time.py $(addprefix tests/rpc/test_, \
  containers.py document_lists.py list_walks.py memory_versions.py numbered_lists.py)
endif

# The parts of `make check`.
LANES := rest http unit rpc
LANE_unit := tests/unit $(PATHS_rpc-1)
LANE_rpc := $(PATHS_rpc-2)
LANE_http := tests/http tests/storage
LANE_rest := tests $(addprefix --ignore tests/,unit rpc http storage)
PYTEST = $(BIN)/python -m pytest -q

.DEFAULT_GOAL := help
.PHONY: help install run check test test-postgres coverage bench bench-retrieval bench-search bench-trust soak generate fix lint breaking lock client dist check-client clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(SERVING): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing into .venv …"
	@rm -f $@
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --no-deps --no-compile --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP): requirements-dev.lock $(SERVING)
	@echo "Installing the developers' tools into .venv …"
	@rm -f $@
	@$(PIP) --no-deps --use-pep517 --require-hashes -r requirements-dev.lock
	@touch $@

install: $(STAMP) ## Install everything into .venv, the developers' tools too

run: $(SERVING) ## Serve on 127.0.0.1:50051 with the folder data (flags: make run ARGS="…")
	@exec $(BIN)/palimpsest serve $(ARGS)

RUN_PARTS = @$(MAKE) --no-print-directory -k -j $(JOBS) --output-sync=target $(addprefix test-,$(1))

test: $(STAMP) ## Run the tests (some of them: make test ARGS="tests/unit -k settings")
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(call RUN_PARTS,$(PARTS))
endif

test-postgres: $(STAMP) ## Run on PostgreSQL all that depends on the database; make test runs its core
	$(call RUN_PARTS,$(POSTGRES_PARTS))

test-%: $(STAMP)
	$(BIN)/python -m pytest $(or $(PATHS_$*),tests/$*)

test-postgres-%: $(STAMP)
	$(BIN)/python -m pytest --backend=postgres $(PATHS_postgres-$*)

check: $(STAMP) ## Lint, and run the quick tests that need no other process
	@$(MAKE) --no-print-directory -j 4 --output-sync=target lint $(addprefix check-tests-,$(LANES))

check-tests-%: $(STAMP)
	$(PYTEST) -m "not processes and not slow" $(LANE_$*)

coverage: $(STAMP) ## Show which lines the tests of make check reach, and write build/coverage/html
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(MAKE) --no-print-directory -j 2 --output-sync=target $(addprefix check-tests-,$(LANES)) \
	  PYTEST="$(BIN)/coverage run -m pytest"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet --directory build/coverage/html
	$(BIN)/coverage report

bench: $(STAMP) ## Measure throughput and latency against a bare gRPC server
	$(BIN)/python -m tests.bench $(ARGS)

bench-retrieval: $(STAMP) ## Measure what search finds: make bench-retrieval DATA=<folder with locomo/, xquad/, npl/>
	$(BIN)/python -m tests.bench.retrieval $(if $(DATA),--data "$(DATA)") $(ARGS)

bench-search: $(STAMP) ## Measure how fast documents are processed and found
	$(BIN)/python -m tests.bench.search $(ARGS)

bench-trust: $(STAMP) ## Measure how often numbers, codes, spellings and languages are found (some: make bench-trust ARGS="versions German")
	$(BIN)/python -m tests.trust $(ARGS)

soak: $(STAMP) ## Run the long forms of the tests (some: make soak ARGS="races kills=200")
	$(BIN)/python -m tests.soak $(ARGS)

generate: $(STAMP) ## Make generated/ from protos/
	$(BIN)/python protos/generate.py generated

fix: $(STAMP) ## Mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format --write protos

lint: $(STAMP) ## Check style, types, import directions, the contract and generated/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/python protos/breaking.py
	@rm -rf build/generated && $(BIN)/python protos/generate.py build/generated
	@diff -r -x __pycache__ build/generated generated || \
	  { echo "generated/ is not what protos/ makes: run make generate" >&2; exit 1; }

breaking: $(STAMP) ## Compare the contract with the last release (another: make breaking ARGS=v0.1.0)
	$(BIN)/python protos/breaking.py $(ARGS)

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header pyproject.toml

lock: $(STAMP) ## Write both locks after a change of pyproject.toml (newer versions: make lock ARGS=--upgrade)
	$(LOCK) --group build --output-file requirements.lock $(ARGS)
	$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock $(ARGS)

# What it makes works with older releases of protobuf, too; it needs no other package.
PROTOC := build/protoc

$(PROTOC)/.installed: protos/client.lock $(STAMP)
	@rm -rf $(PROTOC)
	@$(PIP) --no-deps --require-hashes --target $(PROTOC) -r protos/client.lock
	@touch $@

client: $(PROTOC)/.installed ## Build the wheel of the Python client into dist/
	PYTHONPATH=$(PROTOC) $(BIN)/python protos/client.py dist

dist: client ## Build the wheels of the server and the client, and the source distribution, into dist/
	$(BIN)/python -m hatchling build -d dist

check-client: client ## Try that wheel with the oldest and the newest libraries that it takes
	$(PYTEST) tests/client_library/test_wheel.py

clean: ## Remove what make made, except data
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
