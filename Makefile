# Four words: run, test, lint, bench. Each works on a fresh clone with Rust, Python >= 3.10 and the network, and builds
# only what changed the second time.
#
#   make run    build, install into .venv and serve the demo            (PORT=8000)
#   make test   Rust tests, then pytest over real sockets               (PYTEST_ARGS="-k keep_alive")
#   make lint   every check that must pass before a commit
#   make bench  compare with uvicorn, granian and more               (BENCH_ARGS="--scenarios hello-64 --rounds 3")
#
# PYTHON=python3.12 make test   chooses the interpreter and makes the environment anew; VENV=.venv-3.12 keeps both.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PORT ?= 8000
PYTEST_ARGS ?=
BENCH_ARGS ?= --output benchmarks/results/$(shell date +%F).md

export VENV
BIN := $(VENV)/bin
# All cargo commands and maturin ask the same interpreter, so that none undoes the other's build.
CARGO := PYO3_PYTHON="$(abspath $(BIN)/python)" cargo

.PHONY: help run test lint bench build clean \
  lint-format lint-clippy lint-rustdoc lint-deny lint-ruff lint-mypy lint-stubs lint-borders

help:
	@sed -n 's/^# \{0,1\}//; 1,9p' Makefile

run: build
	@scripts/show-demo $(PORT)
	@exec $(BIN)/bicorn --app-dir examples demo:app --port $(PORT)

test: build
	$(CARGO) test -p bicorn-config -p bicorn-http -p bicorn-server
	$(BIN)/pytest $(PYTEST_ARGS)

# One target for each tool, so that `make -k lint` runs them all even if one complains.
lint: lint-format lint-clippy lint-rustdoc lint-deny lint-ruff lint-mypy lint-stubs lint-borders

lint-format:
	cargo fmt --all --check
	cargo fmt --manifest-path benchmarks/wsload/Cargo.toml --check
lint-clippy: build
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	cargo clippy --manifest-path benchmarks/wsload/Cargo.toml --target-dir target/wsload -- -D warnings
lint-rustdoc: build
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
lint-deny:
	@scripts/cargo-tool cargo-deny 0.20.2
	.tools/bin/cargo-deny check bans licenses sources
lint-ruff: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
lint-mypy: build
	$(BIN)/mypy
lint-stubs: build
	$(BIN)/python -m mypy.stubtest bicorn._bicorn
lint-borders: build
	$(BIN)/python scripts/check_borders.py
	$(BIN)/python scripts/check_settings_docs.py

bench:
	@scripts/build bench
	@scripts/install-load-generators
	@scripts/build-wsload
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

# Internal: what the four words need first.
build:
	@scripts/build

clean:
	rm -rf target .venv .venv-* .mypy_cache .ruff_cache .pytest_cache
	find python -name '*.so' -delete
