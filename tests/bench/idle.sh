#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a guest pays while no checkpoint is under way: how often it sums up its memory in a while, started plainly and by `stasis run`, before
# a checkpoint and after it (when nothing watches its memory any more), with its memory tracked, and after a restart. In turns; the best
# round of each, since what disturbs them here only ever takes time away.
# usage: idle.sh [--json] [--rounds N] [--seconds N]
. "$(dirname "$0")/../e2e/lib.sh"
json= rounds=5 seconds=4
while [ $# != 0 ]; do
	case $1 in
	--json) json=yes ;;
	--rounds) rounds=$2 && shift ;;
	--seconds) seconds=$2 && shift ;;
	*) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2 ;;
	esac
	shift
done
guest_files
guest_words="quiet panic=-1 period=1000 nap=0 fill=16"
declare -A all=()

sums() { grep -ac '^SUM' "$log"; }
measure() { # WHAT: sums a second
	local from t
	sleep 1
	from=$(sums) t=$(date +%s%N)
	sleep "$seconds"
	all[$1]+=" $((($(sums) - from) * 1000000 / $(elapsed_ms "$t")))"
}
best() { printf '%s\n' "$@" | sort -n | tail -1; }

for ((i = 0; i < rounds; i++)); do
	for way in plain run; do
		launcher=()
		[ $way = plain ] || launcher=("$STASIS" run --)
		guest_launch "" 256 -smp 1
		wait_for "$E2E_PATIENCE" "sums" grep -aqs "^SUM" "$log"
		measure $way
		[ $way = plain ] || { end_process "$pid"; continue; }
		"$STASIS" checkpoint "$pid" -o "$scratch/image" --force --snapshot=precopy >"$scratch/stasis.out" 2>&1 </dev/null || fail "checkpoint"
		wait_for 60 "the end of the watch" no_keeper
		measure after
		"$STASIS" checkpoint "$pid" -o "$scratch/image" --force --track=on >"$scratch/stasis.out" 2>&1 </dev/null || fail "checkpoint"
		measure tracked
		end_process "$pid"
		restart_image "$scratch/image" --disk=revert >&2
		measure restarted
		end_process "$pid"
	done
done
for what in plain run after tracked restarted; do
	# shellcheck disable=SC2086 # lists of numbers
	now=$(best ${all[$what]}) plain=$(best ${all[plain]})
	if [ -n "$json" ]; then
		jq -cn --arg what $what --argjson now "$now" --argjson plain "$plain" '{$what, sums_per_1000_s: $now, ratio: ($now / $plain)}'
	else
		printf '%-10s %8s sums in 1000 s %7s of plain  (%s)\n' $what "$now" "$(awk -v a="$now" -v b="$plain" 'BEGIN { printf "%.3f", a / b }')" "${all[$what]# }"
	fi
done
