# `make` lists the targets. `make check test` is what CI runs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The private broker of `broker-up`: beside any system broker, which has 5672.
BROKER_PORT ?= 5673
VENV := .work/venv
AXE := .work/axe/axe.min.js

# A warning is an error with the compiler that this is developed with. Later ones know more to warn of.
RUST := 1.95
DENY = $(if $(findstring rustc $(RUST).,$(shell rustc --version)),-D warnings)

.PHONY: help build check fmt test test-unit test-it soak celery axe demo django bench bench-celery bench-monitor bench-scheduler broker-up broker-down clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the optimised program: target/release/celeriac
	cargo build --release --locked

check: ## formatting, lints, documentation, shell scripts; changes nothing
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- $(DENY)
	cargo clippy --no-default-features --lib --bins --locked -- $(DENY)
	RUSTDOCFLAGS='$(DENY) -A rustdoc::private-intra-doc-links' \
		cargo doc --workspace --no-deps --document-private-items --locked
	for script in rabbitmq/*.sh examples/demo/*.sh examples/django/*.sh examples/django/bin/*.sh .ci/run; do bash -n $$script; done

fmt: ## formats the code
	cargo fmt --all

test: ## all tests; starts its own Redis, PostgreSQL and RabbitMQ, or uses AMQP_URL
	cargo test --workspace --locked

test-unit: ## the tests that need nothing
	cargo test --workspace --locked --lib --bins --test architecture

test-it: ## the tests against RabbitMQ; T=name runs those with it in their name
	cargo build --locked --examples
	cargo test --locked --test it -- $(T)

soak: ## every way to lose the leading scheduler, two minutes each, and a node of a cluster; as root
	cargo test --locked --test it -- --ignored --nocapture --test-threads 1 \
		for_two_minutes a_node_of_the_cluster

celery: $(VENV)/ready ## a real Celery in .work/venv, for the tests that talk to one

$(VENV)/ready: tests/support/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

axe: $(AXE) ## axe-core, which finds what in a page somebody cannot use; the browser tests run it

$(AXE): $(VENV)/ready
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .work/axe-core axe-playwright-python==0.1.8
	mkdir -p $(@D)
	cp .work/axe-core/axe_playwright_python/axe.min.js $@

demo: ## a minute of real work with faults, counted at the end; VIDEO=path, DEMO='--keep --json'
	@examples/demo/install.sh
	@cargo build --locked --bin celeriac --example demo
	@cargo run --quiet --locked --example demo -- $(foreach video,$(VIDEO),--video $(video)) $(DEMO)

django: $(VENV)/ready build ## the Django example at http://127.0.0.1:8000, with all it needs
	@examples/django/run.sh

bench: $(VENV)/ready ## the table of speed and memory, next to a bare lapin loop and to Celery's worker
	cargo bench --locked --bench runner
	cargo bench --locked --bench drain

bench-scheduler: $(VENV)/ready ## the scheduler next to celery beat, with ten thousand entries each
	cargo bench --locked --bench scheduler

bench-monitor: $(VENV)/ready ## the monitor beside Flower, then with a million tasks while two thousand a second come
	cargo bench --locked --bench monitor

bench-celery: $(VENV)/ready ## a chain of 100 and a chord of 1,000 beside Celery's own worker
	cargo bench --locked --bench workflows

broker-up: ## a private RabbitMQ on BROKER_PORT (5673); prints what to export
	@rabbitmq/node.sh start dev $(BROKER_PORT)
	@rabbitmq/node.sh env dev

broker-down: ## stops it; its data stays in .work/dev
	@rabbitmq/node.sh stop dev

clean: ## removes what was built, and the brokers of .work with their data
	@for node in .work/*/settings; do \
		[ ! -e "$$node" ] || rabbitmq/node.sh wipe "$$(basename "$$(dirname "$$node")")"; \
	done
	rm -rf .work
	cargo clean
