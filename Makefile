# The habits of this house, one target each. Every one installs what is missing first; running it twice changes nothing.
#
#   make run                 serve the API with demo data on private servers; data in data/dev
#   make test                all tests, on private servers that are gone afterwards
#   make check               what CI asks: format, lints, docs, dependencies, tests, generated files up to date
#   make bench [ONLY=name]   measurements, into target/bench.jsonl
#   make fault [FAULTS=n] [SEED=s]   n faults of every kind (200) while money moves, all promises checked; into target/fault.json
#   make fmt                 format the code
#   make generate            rewrite every file that is made from code: schema/openapi.json, asyncapi.yaml, events/, schema.sql
#   make clean               remove what was built; data/ stays
#   make help                this list

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: run test check bench fault fmt generate clean help lint docs deny

TARGET := $(or $(CARGO_TARGET_DIR),target)
# The orders that `make bench` imports: the CDNOW data set (B. Hardie) as CSV, if it is at hand.
ORDERS ?= $(wildcard ../shared/data/cdnow/orders.csv)

# `exec`, so that Ctrl-C and SIGTERM reach the process that stops the servers in order.
run:
	@deploy/bootstrap.sh
	cargo build --release --bin quotary
	@exec $(TARGET)/release/quotary dev --demo $(if $(DATA_DIR),--data-dir $(DATA_DIR)) $(if $(PORT),--port $(PORT))

test:
	@deploy/bootstrap.sh
	cargo build --bin quotary
	@exec $(TARGET)/debug/quotary with-servers -- cargo test --workspace --no-fail-fast

# The order is from cheap to dear. `git diff` comes last: it sees what `generate` has changed.
check:
	@deploy/bootstrap.sh --check
	cargo fmt --all --check
	@$(MAKE) --no-print-directory lint docs deny test generate
	git diff --exit-code

lint:
	cargo clippy --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

# Advisories come from a repository that a closed network does not reach. Then this says so and goes on; once they have
# been fetched, an advisory is an error.
deny:
	cargo deny check licenses bans sources
	@if cargo deny fetch db >/dev/null 2>&1; then \
	    cargo deny check --disable-fetch advisories; \
	else \
	    echo 'NOTICE: the advisory database could not be fetched; advisories were NOT checked' >&2; \
	fi

bench:
	@deploy/bootstrap.sh
	cargo build --release --bin quotary
	@exec $(TARGET)/release/quotary bench $(if $(ONLY),--only $(ONLY)) $(if $(ORDERS),--orders $(ORDERS))

fault:
	@deploy/bootstrap.sh
	@exec env QUOTARY_FAULTS=$(or $(FAULTS),200) $(if $(SEED),QUOTARY_FAULT_SEED=$(SEED)) \
	    cargo test --workspace --test fault -- --nocapture

fmt:
	@deploy/bootstrap.sh
	cargo fmt --all

generate:
	@deploy/bootstrap.sh
	cargo build --bin quotary
	$(TARGET)/debug/quotary generate

clean:
	cargo clean

help:
	@sed -n 's/^#   make/make/p' Makefile
