#!/usr/bin/env bash
# A push on one machine, over loopback: one real sender, four real receivers, five equal sums. `make demo` builds the
# programs and runs this with them first on PATH. It needs no root, no route and no network. It writes below $TMPDIR or
# /var/tmp, and removes what it wrote. The exit code is 0 only if everything succeeded.
set -euo pipefail

IMAGE_MIB=256   # every second part of PART_MIB is a hole
PART_MIB=32
RATE=160mbit    # slow enough that the progress bar can be read
HOSTS=(r1 r2 r3 r4)
START_SECONDS=10
PUSH_TIMEOUT=40s
END_SECONDS=10

say() { printf '%s\n' "$*"; }

fail() { # WORDS: says what is wrong, shows what the receivers said, and gives up
    printf 'demo: %s\n' "$*" >&2
    local log
    for log in "$dir"/*.log; do
        [ -s "$log" ] && printf -- '---- %s\n' "${log##*/}" >&2 && tail -n 20 "$log" >&2
    done
    exit 1
}

clean_up() {
    local host
    for host in "${!pids[@]}"; do
        kill "${pids[$host]}" 2>/dev/null || true
    done
    for host in "${!pids[@]}"; do
        wait "${pids[$host]}" 2>/dev/null || true
    done
    [ -z "$dir" ] || rm -rf "$dir"
}

declare -A pids=()  # of receivers that are not reaped yet
dir=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for program in glancecast glancecastd b3sum; do
    command -v "$program" >/dev/null || { say "demo: $program is not on PATH; run this with: make demo" >&2; exit 1; }
done

dir=$(mktemp -d "${TMPDIR:-/var/tmp}/glancecast-demo.XXXXXXXX")
image=$dir/image.raw
# In the range for local use, and below the kernel's ephemeral ports: other groups on this machine are not disturbed.
group=239.255.$((RANDOM % 256)).$((1 + RANDOM % 254)):$((20000 + RANDOM % 10000))

mib_on_disk() { # FILE
    local blocks
    blocks=$(stat -c %b "$1")
    say $((blocks * 512 / 1048576))
}

say "1. Make an image of $IMAGE_MIB MiB, random bytes and holes by turns, and keys for the group and its sender."
truncate -s "${IMAGE_MIB}M" "$image"
for ((at = 0; at < IMAGE_MIB; at += 2 * PART_MIB)); do
    dd if=/dev/urandom of="$image" bs=1M count="$PART_MIB" seek="$at" conv=notrunc iflag=fullblock status=none
done
glancecast keygen --all "$dir/keys" >/dev/null

say "2. Start ${#HOSTS[@]} receivers, ${HOSTS[*]}, each with a directory of its own, in group $group on loopback."
for host in "${HOSTS[@]}"; do
    mkdir "$dir/$host"
    mkdir -m 0700 "$dir/$host.state" # for the host's own key
    glancecastd --name "$host" --group "$group" --interface lo --key "$dir/keys/group.key" \
        --sender "$dir/keys/sender.pub" --store "directory:$dir/$host" --state "$dir/$host.state" \
        --once </dev/null >"$dir/$host.log" 2>&1 &
    pids[$host]=$!
done
for host in "${HOSTS[@]}"; do
    deadline=$((SECONDS + START_SECONDS))
    until grep -q ' listening' "$dir/$host.log"; do
        kill -0 "${pids[$host]}" 2>/dev/null || fail "receiver $host did not start"
        [ "$SECONDS" -lt "$deadline" ] || fail "receiver $host is not ready after $START_SECONDS s"
        sleep 0.05
    done
done

say "3. Send the image once, to all of them, signed with the sender's key."
say
hosts=$(IFS=,; say "${HOSTS[*]}")
status=0
# Its standard error is this script's, so that the progress bar shows on a terminal.
glancecast send --file "$image" --group "$group" --interface lo --key "$dir/keys/group.key" \
    --sender-key "$dir/keys/sender.key" --known-hosts "$dir/known_hosts" --hosts "$hosts" \
    --rate "$RATE" --timeout "$PUSH_TIMEOUT" </dev/null || status=$?
[ "$status" -eq 0 ] || fail "glancecast send ended with exit code $status"
say

deadline=$((SECONDS + END_SECONDS))
for host in "${HOSTS[@]}"; do
    while kill -0 "${pids[$host]}" 2>/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] || fail "receiver $host still runs $END_SECONDS s after the push"
        sleep 0.05
    done
    status=0
    wait "${pids[$host]}" || status=$?
    unset "pids[$host]"
    [ "$status" -eq 0 ] || fail "receiver $host ended with exit code $status"
done

say "4. Compare the BLAKE3 sums of the image and of the ${#HOSTS[@]} copies:"
say
files=("${image##*/}")
for host in "${HOSTS[@]}"; do
    files+=("$host/${image##*/}")
done
sums=$(cd "$dir" && b3sum "${files[@]}") || fail "the sums cannot be computed"
while read -r sum file; do
    say "$sum  $file ($(mib_on_disk "$dir/$file") MiB on disk)"
done <<<"$sums"
say

[ "$(cut -d ' ' -f 1 <<<"$sums" | sort -u | wc -l)" -eq 1 ] || fail "the sums are not equal"
for host in "${HOSTS[@]}"; do
    # Next to it there is only `.glancecast`, the publication log.
    [ "$(ls -A --ignore=.glancecast "$dir/$host")" = "${image##*/}" ] ||
        fail "there is more than the image in the directory of $host"
    # Only if this file system supports holes.
    if [ "$(mib_on_disk "$image")" -lt $((IMAGE_MIB * 3 / 4)) ]; then
        [ "$(mib_on_disk "$dir/$host/${image##*/}")" -lt $((IMAGE_MIB * 3 / 4)) ] || fail "$host has filled the holes"
    fi
done

say "All ${#files[@]} sums are equal. One sender read the image once and multicast it once; ${#HOSTS[@]} receivers rebuilt it,"
say "proved every block and the whole, and only then gave their file its name. Holes stayed holes and were not sent."
say "All processes have ended, and $dir is removed. That took $SECONDS s."
