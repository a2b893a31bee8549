# Everything lives in .venv; Python 3.11 or newer and make are all that is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOAK_MINUTES ?= 20
# Processes for tests; each takes 1 GB. TEST_WORKERS=0 is none beside pytest itself.
TEST_WORKERS ?= logical
TEST_OPTIONS := -n $(TEST_WORKERS) --maxprocesses 4

.PHONY: help setup demo demo-feeds test test-slow lint bench bench-dedup bench-dedup-scale bench-ageing bench-slices bench-stores soak docs lock clean

help:
	@echo "make setup   put newsbeam and its tools into $(VENV)"
	@echo "make demo    ingest seeds/ into news/ and query the result"
	@echo "make demo-feeds  poll the feeds of examples/site/, served here, into news-feeds/"
	@echo "make test    run the tests"
	@echo "make test-slow  run the slow tests: engines, object stores, killed runs (half an hour)"
	@echo "make lint    ruff and mypy --strict"
	@echo "make bench   print the numbers of quality and speed that README and docs state"
	@echo "make bench-dedup  copies found and missed, beside datasketch (some minutes)"
	@echo "make bench-dedup-scale  10,000 to 1,000,000 texts: time and memory (a quarter of an hour)"
	@echo "make bench-ageing  a run on day 400 of a dataset beside one on day 10"
	@echo "make bench-slices  memory at 20,000 and at 100,000 articles (a quarter of an hour)"
	@echo "make bench-stores  what the way to an object store costs (needs MinIO, or Go to build it)"
	@echo "make soak    a stream on 200 feeds for SOAK_MINUTES ($(SOAK_MINUTES)); lags, memory, a plot"
	@echo "make docs    write the generated parts of the documentation"
	@echo "make lock    resolve the dependencies anew"

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "newsbeam needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

demo: setup
	$(BIN)/newsbeam ingest seeds --output news
	$(BIN)/duckdb -c "SELECT date, topic, language, title, len(entities) AS entities \
	  FROM read_parquet('news/articles/**/*.parquet', hive_partitioning = true) ORDER BY date, title"

# The site is served to this machine alone; what serves it ends with the recipe's shell. The second
# run finds nothing new.
demo-feeds: setup
	@$(BIN)/python -m http.server 8765 --bind 127.0.0.1 --directory examples/site >/dev/null 2>&1 & \
	server=$$!; trap "kill $$server 2>/dev/null" EXIT INT TERM; set -e; sleep 1; \
	kill -0 $$server || { echo "port 8765 of this machine is taken"; exit 1; }; \
	for run in first second; do \
	  echo; echo "── the $$run run"; \
	  $(BIN)/newsbeam ingest --feeds examples/site/subscriptions.opml --output news-feeds \
	    --allow-private-hosts; \
	done; \
	echo; $(BIN)/newsbeam feeds news-feeds

test: setup
	$(BIN)/python -m pytest $(TEST_OPTIONS) --dist worksteal

# Tests of one xdist_group share a process, and come one after the other.
test-slow: setup
	$(BIN)/python -m pytest -m slow $(TEST_OPTIONS) --dist loadgroup --no-loadscope-reorder \
	  --durations=20

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks.dedup
	$(BIN)/python -m benchmarks.dumps
	$(BIN)/python -m benchmarks.pages
	$(BIN)/python -m benchmarks.pages --set wcxb
	$(BIN)/python -m benchmarks.topics
	$(BIN)/python -m benchmarks.entities
	$(BIN)/python -m benchmarks.small_files
	$(BIN)/python -m benchmarks.feeds

bench-dedup: setup
	$(BIN)/python -m benchmarks.dedup

bench-dedup-scale: setup
	$(BIN)/python -m benchmarks.dedup_scale

bench-ageing: setup
	$(BIN)/python -m benchmarks.ageing

bench-slices: setup
	$(BIN)/python -m benchmarks.slices

bench-stores: setup
	$(BIN)/python -m benchmarks.distant_stores

# Prism is built with Go, unless SOAK_OPTIONS names one: --prism_location=…
soak: setup
	$(BIN)/python -m benchmarks.soak --minutes $(SOAK_MINUTES) $(SOAK_OPTIONS)

docs: setup
	$(BIN)/python -m docs.generate

lock:
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra query --extra s3 --extra gcs pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra query --extra s3 --extra gcs --group dev pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra query --group dev --group spark pyproject.toml -o requirements-spark.lock

clean:
	rm -rf $(VENV) news news-feeds build dist *.egg-info
