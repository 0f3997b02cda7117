#!/bin/sh
# Summarises a run of the tests: the figures they measured, the tests that were skipped, each with the command that
# would enable it, and the closing counts. Rust's harness counts a skipped test as passed.
# `summary.sh DIRECTORY RESULTS` prints the summary, `summary.sh --clear DIRECTORY` removes the records. RESULTS is the
# JUnit file of cargo-nextest or the output of cargo test.
set -eu

if [ "$1" = --clear ]; then
    rm -rf "$2/measured" "$2/skipped"
    exit
fi

print() { # KIND: every line of every file of that kind
    for file in "$1"/*.txt; do
        [ -f "$file" ] && sed 's/^/  /' "$file"
    done
    return 0
}

counts() { # RESULTS: how many passed, how many failed
    awk '
        match($0, /<testsuites[^>]* tests="[0-9]+"/) {
            total = $0; sub(/.* tests="/, "", total); sub(/".*/, "", total)
            failed = $0; sub(/.* failures="/, "", failed); sub(/".*/, "", failed)
            broken = $0; sub(/.* errors="/, "", broken); sub(/".*/, "", broken)
            lost += failed + broken; passed += total - failed - broken
        }
        /^test result: / {
            for (i = 2; i <= NF; i++) {
                if ($i == "passed;") passed += $(i - 1)
                if ($i == "failed;") lost += $(i - 1)
            }
        }
        END { print passed + 0, lost + 0 }' "$1"
}

measured=$(print "$1/measured")
skipped=$(print "$1/skipped")
number=$(find "$1/skipped" -type f 2>/dev/null | wc -l) # a file for each test
if [ -n "$measured" ]; then
    printf '\nmeasured:\n%s\n' "$measured"
fi
if [ -f "${2-}" ]; then
    # shellcheck disable=SC2046 # two numbers
    set -- $(counts "$2")
    failed=
    [ "$2" -eq 0 ] || failed=", $2 FAILED"
    if [ -n "$skipped" ]; then
        printf '\n%d passed, of which %d were skipped%s:\n%s\n' "$1" "$number" "$failed" "$skipped"
    else
        printf '\n%d passed%s, nothing skipped\n' "$1" "$failed"
    fi
else
    printf '\nskipped:\n%s\n' "${skipped:-  nothing}"
fi
