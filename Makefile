# Everything a newcomer needs: `make test` and `make build` do all the set-up themselves.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

TARGET := $(or $(CARGO_TARGET_DIR),target)
BOATHOUSE := $(abspath $(TARGET))/debug/boathouse
RELEASE := $(abspath $(TARGET))/release/boathouse
VENV := .venv
PYTHON := $(abspath $(VENV))/bin/python
export BOATHOUSE
export BOATHOUSE_PYTHON_MODULES := $(abspath python)

.PHONY: help
help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ---- set-up -------------------------------------------------------------------------------------------------------

.PHONY: tools
tools:
	@tools/check_tools.sh

$(VENV)/ready: tests/requirements.txt | tools
	test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	# delta-spark asks for all of pyspark; its Spark Connect half needs the client only.
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps 'delta-spark==4.4.1'
	touch $@

# TPC-DS: DuckDB's extension, with the DuckDB that it fits.
$(VENV)/tpcds/ready: tests/requirements-tpcds.txt $(VENV)/ready
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/tpcds -r tests/requirements-tpcds.txt
	touch $@

.PHONY: tpcds
tpcds: $(VENV)/tpcds/ready ## The data and queries of TPC-DS, for tests and benchmarks

# Servers that tests start and that are no Python: an emulator of Azure Storage.
NODE := tests/node/node_modules
$(NODE)/ready: tests/node/package.json | tools
	tools/check_tools.sh node
	npm install --prefix tests/node --no-package-lock --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: build
build: | tools ## Build the program (debug profile)
	cargo build --package boathouse

.PHONY: release
release: | tools ## Build the program, optimized
	cargo build --release --package boathouse

.PHONY: release-profiled
release-profiled: $(VENV)/ready $(VENV)/tpcds/ready | tools ## The same, optimized by what the benchmarks execute (two builds)
	tools/profiled_release.sh $(abspath $(TARGET)) $(PYTHON)

# ---- running ------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: build $(VENV)/ready ## Sales from JSON to bronze, silver and gold tables, small and then a million
	$(BOATHOUSE) demo

.PHONY: test
test: test-layers test-rust test-python ## All tests

.PHONY: test-layers
test-layers: | tools ## The dependency arrows of ARCHITECTURE.md
	python3 tests/layers.py

.PHONY: test-rust
test-rust: | tools ## The tests of all crates
	cargo test --workspace --tests --quiet

.PHONY: test-python
test-python: build $(VENV)/ready $(VENV)/tpcds/ready $(NODE)/ready ## End-to-end tests with real clients
	$(PYTHON) -m pytest tests/python -q

# Apart from `make test`: it needs Java 17, and 900 MB of Spark and jars from Maven.
SPARK_VENV := .venv-spark
$(SPARK_VENV)/ready: | tools
	test -x $(SPARK_VENV)/bin/python || python3 -m venv $(SPARK_VENV)
	$(SPARK_VENV)/bin/pip install --quiet --disable-pip-version-check 'pyspark[connect]==4.2.*' 'pandas<3'
	touch $@

.PHONY: test-jvm
test-jvm: build $(VENV)/ready $(SPARK_VENV)/ready ## Interoperation with Spark, delta-spark and Spark's Kafka connector on the JVM
	$(SPARK_VENV)/bin/python tools/delta_spark.py $(PYTHON) -m pytest tests/python -m jvm -q

.PHONY: lint
lint: | tools $(VENV)/ready ## Formatting, clippy, ruff
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(VENV)/bin/ruff check python tests tools examples

.PHONY: wheel
wheel: | tools $(VENV)/ready ## A wheel with the program and the Python runtime modules, in dist/
	rm -rf dist
	$(VENV)/bin/maturin build --release --out dist

# Apart from `make test`: it needs an optimized build, which takes as long as all the rest.
.PHONY: test-wheel
test-wheel: wheel ## The wheel in an empty environment: no pyspark, and `boathouse demo` runs
	tools/test_wheel.sh dist/boathouse-*.whl
