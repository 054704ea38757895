PYTHON ?= python3
BIN := .venv/bin
SOURCES := actingweb actingweb_db testbed tests examples benchmarks $(wildcard scripts/*.py)
# Sphinx, which they import, has an environment of its own.
SITE := docs/conf.py docs/_ext

# More than the cores of a small machine, since tests also wait: for locks, for time limits, for servers to start.
WORKERS ?= 4
# A module's tests run in one process, in order; each process has servers of its own. Modules that take long come first.
PARALLEL = --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

# Tests start many processes, which are faster with compiled modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: test test-aio test-botocore test-live test-live-servers test-live-histories test-witnesses test-quick \
	test-postgresql-versions test-dependencies test-deploy test-faults test-framework test-server lint duplicates demo bench \
	bench-aio bench-all bench-growth bench-requests bench-imports bench-latency bench-live bench-migration licences lock clean

.venv/ready: pyproject.toml scripts/make_venv $(wildcard requirements/*.txt)
	PYTHON="$(PYTHON)" scripts/make_venv
	touch $@

test: .venv/ready
	$(BIN)/python -m pytest $(PARALLEL)

test-quick: WORKERS = auto --maxprocesses=4
test-quick: .venv/ready
	$(BIN)/python -m pytest $(PARALLEL) --quick

# VERSIONS="12 17": on these releases only.
test-postgresql-versions: .venv/ready
	PARALLEL="$(PARALLEL)" $(BIN)/python -m tests.versions.run $(VERSIONS)

test-faults: .venv/ready
	FAULTS=long $(BIN)/python -m pytest --timeout=600 --session-timeout=1800 tests/faults
	$(BIN)/python -m tests.faults.report

# At most ten minutes on two cores; both parts run at once.
test-live: .venv/ready
	$(MAKE) --no-print-directory --jobs=2 --keep-going test-live-servers test-live-histories

# The live migration on real servers, while its processes are killed; they wait more than they compute.
test-live-servers: .venv/ready
	LIVE=long $(BIN)/python -m pytest --numprocesses=2 --timeout=900 tests/live/test_blue_green.py tests/live/test_cycle.py

# A thousand seeded histories, and the mutants of the rules.
test-live-histories: .venv/ready
	$(BIN)/python -m tests.live.histories.run

# What only one node of a cluster can tell, as locks and triggers, is left out on a Citus cluster.
test-server: .venv/ready
	@test -n "$$PG_DB_URL" || { echo 'usage: make test-server PG_DB_URL=postgresql://... [CITUS=1]' >&2; exit 2; }
	$(BIN)/python -m pytest -rs -k "not dynamodb and not memory" \
		$(if $(filter 1,$(CITUS)),tests/contract tests/schema/test_distributed.py,tests/contract tests/postgresql tests/schema)

lint: .venv/ready
	$(BIN)/ruff check $(SOURCES) $(SITE)
	$(BIN)/ruff format --check $(SOURCES) $(SITE)
	$(BIN)/python scripts/generate_aio.py --check
	$(BIN)/mypy --strict $(SOURCES)

duplicates: .venv/ready
	$(BIN)/pylint actingweb

# The tools of the documentation need other versions of some packages than those of the tests.
build/docs-venv/ready: requirements/docs.txt
	$(PYTHON) -m venv build/docs-venv
	build/docs-venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		--requirement requirements/docs.txt
	touch $@

# build/docs/index.html, with a search that works without a network. A warning, as of a broken link or anchor, is an error.
.PHONY: docs
docs: build/docs-venv/ready
	build/docs-venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going --builder html docs build/docs

demo: .venv/ready
	$(BIN)/python -m examples.run_demo

demo-live: .venv/ready
	$(BIN)/python -m examples.run_live_demo

bench: .venv/ready
	$(BIN)/python -m benchmarks run

bench-aio: .venv/ready
	$(BIN)/python -m benchmarks aio

bench-all: .venv/ready
	$(BIN)/python -m benchmarks all

bench-growth: .venv/ready
	$(BIN)/python -m benchmarks growth

bench-requests: .venv/ready
	$(BIN)/python -m benchmarks requests

bench-imports: .venv/ready
	$(BIN)/python -m benchmarks imports

bench-latency: .venv/ready
	$(BIN)/python -m benchmarks latency

bench-migration: .venv/ready
	$(BIN)/python -m benchmarks migration

bench-live: .venv/ready
	$(BIN)/python -m benchmarks live

test-dependencies: .venv/ready
	scripts/test_dependencies

# hadolint, checkov, cfn-lint, Terraform, and the steps of the Dockerfile; installs them in build/deploy/.
test-deploy: .venv/ready
	$(BIN)/python -m pytest tests/deploy tests/deploy/checks.py

test-botocore: .venv/ready
	AWS_DB_TRANSPORT=botocore $(BIN)/python -m pytest -q tests/dynamodb tests/contract tests/faults -k dynamodb

# Of these, `make test` runs on this interface only the tests marked aio.
test-aio: .venv/ready
	$(BIN)/python -m pytest $(PARALLEL) --aio tests/contract tests/faults

# WITNESSES=moto: on this one only; UPDATE=1 writes the lists of what is expected to fail anew.
test-witnesses: .venv/ready
	PARALLEL="$(PARALLEL)" $(BIN)/python -m tests.witnesses.run $(WITNESSES) $(if $(UPDATE),--update)

test-framework: .venv/ready
	$(BIN)/python tests/framework/run.py

licences: .venv/ready
	$(BIN)/python -m tests.supply.report

lock: .venv/ready
	scripts/lock

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
