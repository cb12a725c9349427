#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# How long it takes until an image is whole on the disk: against dd, which writes the same bytes to the same file system, and, compressed,
# against the zstd program with all processors. In turns; medians.
# usage: write.sh [--json] [--sizes "MIB..."] [--rounds N]
: "${SCRIBBLE:?must name the scribble program}"
. "$(dirname "$0")/../e2e/lib.sh"
json= sizes="256 1024" rounds=5
while [ $# != 0 ]; do
	case $1 in
	--json) json=yes ;;
	--sizes) sizes=$2 && shift ;;
	--rounds) rounds=$2 && shift ;;
	*) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2 ;;
	esac
	shift
done
mkfifo "$scratch/feed" "$scratch/said" || fail "no fifos"
exec {feed}<>"$scratch/feed" {said}<>"$scratch/said"

take() { # WAY
	local t
	sync
	t=$(date +%s%N)
	case $1 in
	stasis-raw) "$STASIS" checkpoint "$pid" -o "$scratch/new" --compress=none ;;
	dd) dd if="$scratch/raw" of="$scratch/copy" bs=1M conv=fsync ;;
	stasis-zstd) "$STASIS" checkpoint "$pid" -o "$scratch/packed" --compress=zstd:1 ;;
	zstd) zstd -q -f -1 -T0 "$scratch/raw" -o "$scratch/packed" && sync "$scratch/packed" ;;
	esac >"$scratch/stasis.out" 2>&1 </dev/null || fail "$1"
	t=$(elapsed_ms "$t")
	[ "$round" = 0 ] || all[$1]+=" $t" # for warming up
	case $1 in
	dd) rm "$scratch/copy" ;;
	*zstd) bytes[$1]=$(stat -c %s "$scratch/packed") && rm "$scratch/packed" ;;
	*) mv -f "$scratch/new" "$scratch/raw" && bytes[$1]=$(stat -c %s "$scratch/raw") ;; # to give back what it replaces takes time
	esac
}
middle() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
row() { # WAY PEER
	local mine other ratio
	# shellcheck disable=SC2086 # lists of numbers
	mine=$(middle ${all[$1]}) other=$(middle ${all[$2]})
	ratio=$(awk -v a="$mine" -v b="$other" 'BEGIN { printf "%.2f", a / b }')
	if [ -n "$json" ]; then
		jq -cn --argjson mib "$size" --arg what "$1" --arg peer "$2" --argjson bytes "${bytes[$1]}" --argjson ms "$mine" --argjson peer_ms "$other" --argjson ratio "$ratio" \
			'{$mib, $what, $peer, $bytes, $ms, $peer_ms, $ratio}'
	else
		printf '%-8s %-12s %12s bytes %7s ms   %-5s %7s ms   ratio %s\n' "$size MiB" "$1" "${bytes[$1]}" "$mine" "$2" "$other" "$ratio"
	fi
}

declare -A all bytes
for size in $sizes; do
	"$SCRIBBLE" "$size" 4K <"$scratch/feed" >"$scratch/said" {feed}>&- {said}>&- &
	pid=$!
	own $pid
	read -r -t 600 took <&$said || fail "the program does not start"
	all=() bytes=()
	for ((round = 0; round <= rounds; round++)); do
		for way in stasis-raw dd stasis-zstd zstd; do take $way; done
	done
	row stasis-raw dd
	row stasis-zstd zstd
	end_process "$pid"
done
