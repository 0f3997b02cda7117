#!/bin/sh
# What a run of the tests leaves to be read: the figures they measured and the tests that were skipped, each with
# the command that would enable it. `summary.sh DIRECTORY` prints, `summary.sh --clear DIRECTORY` starts anew.
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

measured=$(print "$1/measured")
skipped=$(print "$1/skipped")
if [ -n "$measured" ]; then
    printf '\nmeasured:\n%s\n' "$measured"
fi
if [ -n "$skipped" ]; then
    printf '\nskipped:\n%s\n' "$skipped"
else
    printf '\nnothing skipped\n'
fi
