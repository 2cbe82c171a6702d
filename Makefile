# `make run` and `make test` do everything, set-up included; the rest is for those who work on Roomlog.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/roomlog
export CARGO_TARGET_DIR ?= $(CACHE)/target
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run build test test-full faults sim bench fmt clean-cache

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and start the whole system on embedded stand-ins, ready to chat (ARGS='--data DIR --listen 127.0.0.1:8080')
	@tests/setup build
	cargo run --locked --bin roomlog -- dev --open $(ARGS)

build: ## Build the one binary with optimisations
	@tests/setup build
	cargo build --locked --release --bin roomlog
	@echo "built $(CARGO_TARGET_DIR)/release/roomlog"

test: ## Check everything: style, lints, unit and property tests, end to end on stand-ins and on the real servers
	@tests/run

test-full: faults ## The same with many more random cases, every fault, and the fault suites three times
	@PROPTEST_CASES=20000 ROOMLOG_TEST_API_EXAMPLES=100 FAULT_ROUNDS=3 tests/run

faults: ## Make every single fault on real servers under load, and write the measured table into docs/guarantees.md
	@tests/faults

sim: ## Run many seeds of the simulation (SEEDS=100000)
	ROOMLOG_SIM_SEEDS=$(or $(SEEDS),100000) cargo test --locked --test sim any_mix -- --nocapture

bench: ## Measure codec, fan-out, numbering and load
	@tests/setup build
	cargo bench --locked $(ARGS)

fmt: ## Put every source into the standard format
	cargo fmt --all

clean-cache: ## Remove builds, real servers and foreign clients from the cache folder
	rm -rf '$(CACHE)'
