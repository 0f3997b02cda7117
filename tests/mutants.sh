#!/usr/bin/env bash
# Breaks a crate in small ways, one at a time, and runs the crate's own tests on each: what they do not notice is not
# tested. `make mutants CRATE=inspect FILES='inspect/src/vh*.rs'` runs this as `mutants.sh DIRECTORY CRATE FILES TESTS`.
#
# With TESTS there are two steps. The first one builds the unit tests alone and runs those whose names contain one of the
# words, on every mutant; the second one runs all tests of the crate on what has survived. A crate whose tests take
# half a minute is done with most mutants in a few seconds each:
#     make mutants CRATE=proto FILES='proto/src/wire/*.rs' TESTS=wire::
#
# A surviving mutant is either caught by a new test, or explained in CRATE/MUTANTS.md on a line of its own:
#     - `inspect/src/mbr.rs: replace && with || in is_boot_sector`: the reason
# The exit code is 0 if no other mutant has survived.
set -euo pipefail

directory=$1 crate=$2 files=$3 tests=${4:-}
cargo=${CARGO:-cargo}

say() { printf '%s\n' "$*"; }

usage() { # WORDS: what is missing
    say "mutants: $*; crates: $crates" >&2
    say "usage: make mutants CRATE=inspect [FILES='inspect/src/vh*.rs inspect/src/mbr.rs'] [TESTS='vhd:: vhdx::']" >&2
    exit 2
}

crates=$(sed -n 's/^members = \[\(.*\)\]/\1/p' Cargo.toml | tr -d '",')
[ -n "$crate" ] || usage "which crate?"
[[ " $crates " == *" $crate "* ]] || usage "there is no crate $crate"
if ! $cargo mutants --version >/dev/null 2>&1; then
    say "mutants: cargo-mutants is not installed; install it with: cargo install cargo-mutants --locked" >&2
    exit 2
fi

# Mutants are made in a copy of the tree. It stays where it is, so that what depends on nothing changed stays built.
output=$directory/$crate
build=$directory/build
tree=$directory/tree
rm -rf "$tree"
mkdir -p "$output" "$tree"
tar -c --exclude=./target --exclude=./.git . | tar -x -C "$tree"

# The release profile, which is tested and shipped, and for a small crate builds as fast as another.
arguments=(--dir "$tree" --in-place --package "glancecast-$crate" --profile release --cargo-arg=--locked
    --colors never --output "$output")
# The crate itself is unoptimized, because it then builds in a third of the time, once for each mutant.
for setting in opt-level=0 codegen-units=64 debug=false; do
    arguments+=(--cargo-arg="--config=profile.release.package.glancecast-$crate.$setting")
done
read -ra globs <<<"$files"
for glob in "${globs[@]}"; do
    arguments+=(--file "$glob")
done
results=$output/mutants.out
count() { cat "$results/$1.txt" 2>/dev/null | wc -l; }

run() { # ARGUMENTS: further ones
    local status=0
    CARGO_TARGET_DIR=$build CARGO_INCREMENTAL=1 nice "$cargo" mutants "${arguments[@]}" "$@" || status=$?
    case $status in
        0 | 2 | 3) ;; # some survived, or ran out of time: see below
        *) exit "$status" ;;
    esac
}

caught=0 unviable=0
read -ra words <<<"$tests"
if [ "${#words[@]}" -eq 0 ]; then
    run
else
    rm -rf "$results" # or the first step would go on with what an earlier run has left
    run --cargo-arg=--lib -- -- "${words[@]}"
    say "$crate: $(count missed) mutants are left for all tests of the crate"
    if [ "$(count missed)" -gt 0 ]; then
        caught=$(count caught) unviable=$(count unviable)
        run --iterate # leaves out what was caught or does not compile
    fi
fi

caught=$((caught + $(count caught) + $(count timeout))) # an endless loop does not go unnoticed
unviable=$((unviable + $(count unviable)))
say "$crate: $((caught + $(count missed))) viable mutants, $caught caught," \
    "$(count missed) survived; $unviable do not compile; details in $results"

# A function may have the same mutant twice, so the number of equal lines matters.
without_place() { sed -E 's/^([^:]+):[0-9]+:[0-9]+: /\1: /' | sort; }
explained() {
    [ ! -f "$crate/MUTANTS.md" ] || sed -nE 's/^- `([^`]+\.rs: [^`]+)`: .+/\1/p' "$crate/MUTANTS.md" | sort
}
unexplained=$(comm -23 <(without_place <"$results/missed.txt") <(explained))
if [ -n "$unexplained" ]; then
    say "survived, and $crate/MUTANTS.md does not say why:"
    say "$unexplained"
    exit 1
fi
