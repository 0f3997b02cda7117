# The commands of this repository. `make` lists them.

CARGO     ?= cargo
# One profile for everything: dependencies are built once, and a data plane at debug speed is too slow to test.
FLAGS     := --locked --release --workspace
TARGET    := $(or $(CARGO_TARGET_DIR),target)
SCENARIOS := $(TARGET)/scenarios
JUNIT     := target/nextest/default/junit.xml# nextest writes it there for any target directory

.DEFAULT_GOAL := help
.PHONY: help build test check-format lint docs scenarios sim races sim-scale sim-routed sim-routed-scale sim-finish soak demo bench-stages bench-codec bench-crossovers bench-failures \
	bench-versus bench-push picture bench-pipe bench-goals bench-bytes bench-journal bench-convert bench-inspect bench-resume fuzz fuzz-build fuzz-merge fuzz-codec sanitize-codec miri-codec check-neon \
	mutants fmt clean sim-path sim-paths reconcile

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build glancecast and glancecastd
	$(CARGO) build $(FLAGS) --bins

# The crates that need no built program, no root and no network.
PURE := $(addprefix -p glancecast-,fec proto inspect)

# Skips the tests of all 477 sizes of RFC 6330, which take 50 s of CPU; `make test` runs them.
.PHONY: check
check: check-format ## the fast loop: format, lints and tests of the pure crates (fec, proto, inspect)
	$(CARGO) clippy --locked --release $(PURE) --all-targets -- -D warnings
	$(CARGO) test --locked --release $(PURE) --quiet -- --skip every_k_prime

test: check-format build lint docs scenarios ## check format, lints and docs, build, and run every test

# The fuzzers are workspaces of their own: nothing else notices that a change has left their lock files behind.
lint: ## clippy, warnings denied; the fuzzers' lock files are current
	$(CARGO) clippy $(FLAGS) --all-targets -- -D warnings
	@for fuzzers in tests/fuzz fec/fuzz; do \
	    (cd $$fuzzers && $(CARGO) metadata --locked --format-version 1 >/dev/null) || exit 1; \
	done

docs: ## build the documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(FLAGS) --no-deps --document-private-items

scenarios: build ## run every test, then print what was measured and what was skipped
	@tests/summary.sh --clear $(SCENARIOS) && mkdir -p $(SCENARIOS) && rm -f $(JUNIT) $(SCENARIOS)/results.txt $(SCENARIOS)/failed
	@status=0; \
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run $(FLAGS) || status=$$?; \
	    results=$(JUNIT); \
	else \
	    echo "cargo-nextest is not installed: cargo test, one crate after the other"; \
	    results=$(SCENARIOS)/results.txt; \
	    { $(CARGO) test $(FLAGS) --no-fail-fast || echo $$? >$(SCENARIOS)/failed; } | tee $$results; \
	    if [ -f $(SCENARIOS)/failed ]; then status=$$(cat $(SCENARIOS)/failed); fi; \
	fi; \
	tests/summary.sh $(SCENARIOS) $$results; \
	exit $$status

SEEDS ?= 2000

sim: ## simulate SEEDS (2000) pushes under every fault, starting with seed FROM (0), or trace the push of SEED=n
	$(CARGO) run --locked --release -p glancecast-tests --bin sim -- \
	    $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM))

sim-routed: ## simulate SEEDS (2000) pushes through routers without multicast, from seed FROM (0) on, or trace that of SEED=n
	$(CARGO) run --locked --release -p glancecast-tests --bin sim_routed -- \
	    $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM))

sim-routed-scale: ## simulate pushes to hundreds of racks with relays that die; compares with tests/sim/routed.txt (long)
	$(CARGO) run --locked --release -p glancecast-tests --bin sim_routed -- tests/sim/routed.txt

CLOUDS ?= 20000

reconcile: ## run the reconciler against CLOUDS (20000) random clouds, from seed FROM or a drawn one; SEED=n tells what happens in one
	$(if $(SEED),GLANCECAST_CLOUD=$(SEED)) $(if $(FROM),GLANCECAST_TEST_SEED=$(FROM)) GLANCECAST_CLOUDS=$(CLOUDS) \
	    $(CARGO) test --locked --release -p glancecast-controller --test reconciler random_clouds -- --nocapture

RACES ?= 10000

races: ## run each race for a path of the store RACES (10000) times; root
	GLANCECAST_RACES=$(RACES) $(CARGO) test --locked --release -p glancecast-receiver --lib store::tests::races -- --nocapture --test-threads=1

sim-scale: ## simulate pushes to up to 10 000 receivers; compares with tests/sim/scale.txt (long, 3 GB)
	$(CARGO) run --locked --release -p glancecast-tests --bin sim_scale -- tests/sim/scale.txt

sim-path: ## simulate a push over a path of any kind, as in PUSH='hosts=10 rtt=50 jitter=3 store=400'
	$(CARGO) run --locked --release -p glancecast-tests --bin sim_paths -- $(PUSH)

sim-paths: ## simulate the grid of paths, its QUICK=1 rows or those WITH='hosts=20'; compares with tests/sim/paths.txt (long, 7 GB)
	$(CARGO) run --locked --release -p glancecast-tests --bin sim_paths -- --grid tests/sim/paths.txt $(if $(QUICK),--quick,$(WITH))

sim-finish: ## measure what HOSTS (10000) that all finish within a second cost the send loop
	$(CARGO) run --locked --release -p glancecast-tests --bin sim_finish -- $(HOSTS)

demo: build ## send an image to four receivers over loopback and compare
	@$(CARGO) build $(FLAGS) --quiet --example b3sum
	@PATH="$(abspath $(TARGET))/release:$(abspath $(TARGET))/release/examples:$$PATH" tests/demo.sh

soak: build ## push random images to eight receivers for a quarter of an hour, with random overlaps and kills
	$(TARGET)/release/soak $(SOAK)

bench-stages: ## measure the cost of each stage of the data path, on one core
	$(CARGO) run --locked --release -p glancecast-bench --bin stages

bench-codec: ## compare the codec with raptorq; writes target/bench/codec.json
	$(CARGO) run --locked --release -p glancecast-bench --bin codec -- $(TARGET)/bench

bench-versus: build ## compare glancecast with udpcast, UFTP, HTTP and BitTorrent; root; writes target/bench/versus.*
	$(TARGET)/release/versus --output $(TARGET)/bench $(VERSUS)

bench-push: build ## compare a push with downloads, for 1 to 16 hosts; root; writes docs/push.*, including README's picture
	$(TARGET)/release/push --output docs $(PUSH)

picture: ## redraw README's picture, docs/push.svg, from the results of bench-push
	$(CARGO) run --locked --release -p glancecast-bench --bin push -- --output docs --draw

bench-pipe: build ## profile a push from file to file, unshaped; root, or PIPE=--loopback; writes target/bench/pipe.*
	$(TARGET)/release/pipe --output $(TARGET)/bench $(PIPE)

bench-goals: build ## measure all performance goals on this machine; root; writes target/bench/goals.*
	$(TARGET)/release/goals --output $(TARGET)/bench $(GOALS)

bench-bytes: build ## compare bytes sent of sparse and other images with udpcast and zstd; root; writes target/bench/bytes.*
	$(TARGET)/release/bytes --output $(TARGET)/bench $(BYTES)

bench-journal: build ## measure a receiver's cost of the journal, in memory and on a disk; writes target/bench/journal.*
	$(TARGET)/release/journal --output $(TARGET)/bench --disk $(TARGET)/bench $(JOURNAL)

bench-convert: ## compare the conversion of a qcow2 in the sandbox with plain qemu-img, in turns
	$(CARGO) run --locked --release -p glancecast-bench --bin convert -- $(CONVERT)

bench-inspect: build ## compare `send --file` of this build with that of OLD=path/to/glancecast, in turns
	@test -n "$(OLD)" || { echo "give another build of glancecast: make bench-inspect OLD=path/to/glancecast"; exit 2; }
	$(TARGET)/release/inspect --old "$(OLD)" $(INSPECT)

bench-resume: ## time the decisions of a push that 2000 hosts resume, of the most blocks; RESUME="--blocks 20000" of fewer
	$(CARGO) run --locked --release -p glancecast-bench --bin resume -- $(RESUME)

bench-crossovers: ## find where the codec's algorithms are equally fast, for each instruction set of this machine
	$(CARGO) run --locked --release -p glancecast-bench --bin codec_crossovers

bench-failures: ## measure how often random sets of K or K + 1 symbols do not determine a block (minutes)
	$(CARGO) run --locked --release -p glancecast-bench --bin codec_failures
	$(CARGO) run --locked --release -p glancecast-bench --bin codec_failures -- 20000 20000 1000

# The flags of cargo-fuzz, which is not needed. They are for nightly compilers; the pinned one accepts them with
# RUSTC_BOOTSTRAP. Committed inputs are packed, one per line; the fuzzers run on a directory in $(TARGET)/fuzz.
FUZZ_SECONDS ?= 120
HOST         := $(shell rustc -vV | sed -n 's/^host: //p')
COVERAGE     := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing -Ccodegen-units=1 -Cdebug-assertions
CORPUS       := $(TARGET)/release/corpus

.PHONY: corpus-tool
corpus-tool:
	$(CARGO) build --locked --release --quiet -p glancecast-testkit --bin corpus

fuzz-codec: corpus-tool ## mutate a decoder's input for FUZZ_SECONDS (120), with an address sanitizer
	@mkdir -p $(TARGET)/fuzz/corpus && rm -rf $(TARGET)/fuzz/seeds && \
	    $(CORPUS) unpack fec/fuzz/seeds.hex $(TARGET)/fuzz/seeds
	cd fec/fuzz && RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(COVERAGE) -Zsanitizer=address" \
	    $(CARGO) build --locked --release --target $(HOST) --target-dir $(abspath $(TARGET))/fuzz
	$(TARGET)/fuzz/$(HOST)/release/intake $(TARGET)/fuzz/corpus $(TARGET)/fuzz/seeds \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=600 -artifact_prefix=$(TARGET)/fuzz/

# The fuzzers of all untrusted input and of the machines; see tests/fuzz/RECORD.md. Only the tested crates are built with
# coverage. `make fuzz` runs the fuzzers one after the other for FUZZ_SECONDS each; FUZZ=name runs one.
# SANITIZE=address also checks memory, for the sake of dependencies: the fuzzed code itself is not unsafe.
FUZZERS      := down up queries survey journal config keys formats glance settings sender receiver
FUZZ         ?= $(FUZZERS)
FUZZED       := $(addprefix glancecast-,fec proto inspect platform receiver sender fuzz) toml toml_parser
# Traced comparisons take most of the time, and help only with text formats, where much has to be guessed.
COVERED       = $(if $(filter %-receiver %-sender toml%,$(crate)),$(COVERAGE),$(filter-out %trace-compares,$(COVERAGE)))
FUZZ_TARGET  := $(abspath $(TARGET))/fuzz$(addprefix -,$(SANITIZE))
FUZZ_FLAGS   := $(if $(SANITIZE),--target $(HOST)) -Zprofile-rustflags \
    $(foreach crate,$(FUZZED),--config 'profile.release.package.$(crate).rustflags=[$(foreach flag,$(COVERED),"$(flag)",)]')
FUZZ_PROGRAM := $(FUZZ_TARGET)/$(if $(SANITIZE),$(HOST)/)release

fuzz: fuzz-build ## run the fuzzers of parsers and machines for FUZZ_SECONDS (120) each, or the one of FUZZ=name
	@for name in $(FUZZ); do \
	    mkdir -p $(FUZZ_TARGET)/corpora/$$name && rm -rf $(FUZZ_TARGET)/committed && echo "== $$name" && \
	    $(CORPUS) unpack tests/fuzz/corpus/$$name.hex $(FUZZ_TARGET)/committed && \
	    $(FUZZ_PROGRAM)/$$name $(FUZZ_TARGET)/corpora/$$name $(FUZZ_TARGET)/committed \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=10 -artifact_prefix=$(FUZZ_TARGET)/$$name- || exit 1; \
	done

fuzz-build: corpus-tool
	cd tests/fuzz && RUSTC_BOOTSTRAP=1 $(if $(SANITIZE),RUSTFLAGS=-Zsanitizer=$(SANITIZE)) \
	    $(CARGO) build --locked --release --target-dir $(FUZZ_TARGET) $(FUZZ_FLAGS) \
	    $(addprefix --bin ,$(FUZZ)) $(if $(filter glance settings,$(FUZZ)),--features sender)

# Replaces the committed inputs by one input for each reached feature, without regard to how often it was reached, and adds
# the golden datagrams again.
fuzz-merge: fuzz-build ## put a minimal set of the inputs that the fuzzers found into tests/fuzz/corpus
	@for name in $(FUZZ); do \
	    rm -rf $(FUZZ_TARGET)/merged $(FUZZ_TARGET)/committed && \
	    mkdir -p $(FUZZ_TARGET)/merged $(FUZZ_TARGET)/corpora/$$name && \
	    $(CORPUS) unpack tests/fuzz/corpus/$$name.hex $(FUZZ_TARGET)/committed && \
	    $(FUZZ_PROGRAM)/$$name -set_cover_merge=1 -use_counters=0 $(FUZZ_TARGET)/merged $(FUZZ_TARGET)/corpora/$$name \
	        $(FUZZ_TARGET)/committed && \
	    $(CORPUS) pack $(FUZZ_TARGET)/merged tests/fuzz/corpus/$$name.hex || exit 1; \
	done
	GLANCECAST_BLESS=1 $(CARGO) test --locked --release -p glancecast-proto --test corpora every_golden_datagram

sanitize-codec: ## test the kernels of every instruction set of this machine, with an address sanitizer
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" $(CARGO) test --locked --release -p glancecast-fec \
	    --target $(HOST) --target-dir $(TARGET)/sanitize --lib --test blocks --test interop

miri-codec: ## test blocks on the portable kernel under miri (needs a nightly toolchain with miri)
	$(CARGO) +nightly miri test --locked -p glancecast-fec --target-dir $(TARGET)/miri --test blocks hostile_repair

mutants: ## mutate CRATE (inspect, platform, ...) and list what its tests do not notice; FILES=glob for some files, TESTS=words to run these first
	@CARGO="$(CARGO)" tests/mutants.sh $(abspath $(TARGET))/mutants "$(CRATE)" "$(FILES)" "$(TESTS)"

check-neon: ## type-check the NEON kernel (needs `rustup target add aarch64-unknown-linux-gnu`)
	$(CARGO) check --locked -p glancecast-fec --target aarch64-unknown-linux-gnu

fmt: ## format the code
	$(CARGO) fmt --all

check-format:
	$(CARGO) fmt --all --check

clean: ## remove everything that was built
	$(CARGO) clean
