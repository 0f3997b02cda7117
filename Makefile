# The commands of this repository. `make` lists them.

CARGO     ?= cargo
# One profile for everything: the dependencies are built once, and a data plane at debug speed shows nothing.
FLAGS     := --locked --release --workspace
TARGET    := $(or $(CARGO_TARGET_DIR),target)
SCENARIOS := $(TARGET)/scenarios

.DEFAULT_GOAL := help
.PHONY: help build test check-format lint docs scenarios demo bench-stages bench-codec bench-versus bench-pipe bench-goals fmt clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build glancecast and glancecastd
	$(CARGO) build $(FLAGS) --bins

test: check-format build lint docs scenarios ## check format, lints and docs, build, and run every test

lint: ## clippy, warnings denied
	$(CARGO) clippy $(FLAGS) --all-targets -- -D warnings

docs: ## build the documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(FLAGS) --no-deps --document-private-items

scenarios: build ## run every test, then print what was measured and what was skipped
	@tests/summary.sh --clear $(SCENARIOS)
	@status=0; \
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run $(FLAGS) || status=$$?; \
	else \
	    echo "cargo-nextest is not installed: cargo test, one crate after the other"; \
	    $(CARGO) test $(FLAGS) --no-fail-fast || status=$$?; \
	fi; \
	tests/summary.sh $(SCENARIOS); \
	exit $$status

demo: build ## send an image to four receivers over loopback and compare
	@$(CARGO) build $(FLAGS) --quiet --example b3sum
	@PATH="$(abspath $(TARGET))/release:$(abspath $(TARGET))/release/examples:$$PATH" tests/demo.sh

bench-stages: ## what each stage of the data path costs, on one core
	$(CARGO) run --locked --release -p glancecast-bench --bin stages

bench-codec: ## measure the codec beside raptorq; writes target/bench/codec.json
	$(CARGO) run --locked --release -p glancecast-bench --bin codec -- $(TARGET)/bench

bench-versus: build ## glancecast beside udpcast, UFTP, HTTP and BitTorrent; root; writes target/bench/versus.*
	$(TARGET)/release/versus --output $(TARGET)/bench $(VERSUS)

bench-pipe: build ## where the time goes from file to file, unshaped; root, or PIPE=--loopback; writes target/bench/pipe.json
	$(TARGET)/release/pipe --output $(TARGET)/bench $(PIPE)

bench-goals: build ## every figure that glancecast is to reach, as measured here; root; writes target/bench/goals.*
	$(TARGET)/release/goals --output $(TARGET)/bench $(GOALS)

fmt: ## format the code
	$(CARGO) fmt --all

check-format:
	$(CARGO) fmt --all --check

clean: ## remove everything that was built
	$(CARGO) clean
