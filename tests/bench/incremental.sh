#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What an incremental checkpoint costs against a full one, in bytes and in time, when part of the memory was written to in between: by the
# kernel's notes (tracked) and by comparison with the parent (compared), all in turns with the same program. `write` is the time that the
# program takes to write to those pages after each. Prints a table, or with --json one line of JSON per row; medians.
# usage: incremental.sh [--json] [--sizes "MIB..."] [--dirty PERCENT] [--rounds N] [--pages "4K huge"] [--compress "none zstd"]
: "${SCRIBBLE:?must name the scribble program}"
. "$(dirname "$0")/../e2e/lib.sh"
json= sizes="256 1024" dirty=1 rounds=5 kinds="4K huge" codecs="none zstd"
while [ $# != 0 ]; do
	case $1 in
	--json) json=yes ;;
	--sizes) sizes=$2 && shift ;;
	--dirty) dirty=$2 && shift ;;
	--rounds) rounds=$2 && shift ;;
	--pages) kinds=$2 && shift ;;
	--compress) codecs=$2 && shift ;;
	*) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2 ;;
	esac
	shift
done
mkfifo "$scratch/feed" "$scratch/said" || fail "no fifos"
exec {feed}<>"$scratch/feed" {said}<>"$scratch/said"

scribble() { # sets `took`
	echo $((size * 256 * dirty / 100)) >&$feed
	read -r -t 600 took <&$said || fail "the program does not answer"
}
take() { # IMAGE CHANGES-BY OPTION...: appends to the figures of `way`
	local image=$1 by=$2
	shift 2
	sync
	"$STASIS" checkpoint "$pid" -o "$image" --compress "$codec" --json "$@" >"$scratch/json" 2>"$scratch/stasis.out" </dev/null || fail "stasis checkpoint $*"
	[ "$(jq -r .changes_by "$scratch/json")" = "$by" ] || skip "what has changed is known by $(jq -r .changes_by "$scratch/json"), not by $by"
	scribble
	[ "$round" = 0 ] || { # for warming up
		bytes[$way]+=" $(jq .file_bytes "$scratch/json")" total[$way]+=" $(jq .total_us "$scratch/json")"
		pause[$way]+=" $(jq .pause_us "$scratch/json")" write[$way]+=" $took"
	}
}
middle() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
percent() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", 100 * a / b }'; }
ms() { awk -v us="$1" 'BEGIN { printf "%.1f", us / 1000 }'; }

row() { # WAY
	local b t p w
	# shellcheck disable=SC2086 # lists of numbers
	b=$(middle ${bytes[$1]}) t=$(middle ${total[$1]}) p=$(middle ${pause[$1]}) w=$(middle ${write[$1]})
	[ "$1" != full ] || full_bytes=$b full_time=$t
	if [ -n "$json" ]; then
		jq -cn --arg pages "$kind" --argjson mib "$size" --arg codec "$codec" --argjson dirty "$dirty" --arg way "$1" --argjson bytes "$b" --argjson us "$t" \
			--argjson pause_us "$p" --argjson write_us "$w" --argjson b "$(percent "$b" "$full_bytes")" --argjson t "$(percent "$t" "$full_time")" \
			'{$mib, $pages, $codec, dirty_percent: $dirty, $way, $bytes, total_us: $us, $pause_us, $write_us, bytes_percent: $b, time_percent: $t}'
	else
		printf '%-8s %-5s %-5s %-9s %12s %7s %9s %7s %9s %9s\n' "$size MiB" "$kind" "$codec" "$1" "$b" "$(percent "$b" "$full_bytes")%" "$(ms "$t")" \
			"$(percent "$t" "$full_time")%" "$(ms "$p")" "$(ms "$w")"
	fi
}

[ -n "$json" ] || printf '%-8s %-5s %-5s %-9s %12s %7s %9s %7s %9s %9s\n' memory pages codec way bytes "" ms "" "pause ms" "write ms"
for size in $sizes; do
	for kind in $kinds; do
		for codec in $codecs; do
			"$SCRIBBLE" "$size" "$kind" <"$scratch/feed" >"$scratch/said" {feed}>&- {said}>&- &
			pid=$!
			own $pid
			read -r -t 600 took <&$said || fail "the program does not start"
			declare -A bytes=() total=() pause=() write=()
			for ((round = 0; round <= rounds; round++)); do
				way=full
				take "$scratch/full" null --force
				way=full-tracked
				take "$scratch/parent" null --force --track=on
				way=tracked
				take "$scratch/tracked" tracking --force --incremental --parent "$scratch/parent"
				way=compared
				take "$scratch/compared" comparison --force --incremental --parent "$scratch/tracked" --track=off
				rm -f "$scratch/tracked" "$scratch/compared"
			done
			for way in full full-tracked tracked compared; do row $way; done
			end_process "$pid"
		done
	done
done
