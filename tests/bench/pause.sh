#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# How long a guest falls silent while a checkpoint is taken: `stasis checkpoint` (as it is, and with --snapshot=fork) against QEMU's own ways
# (background-snapshot, savevm, and migration to a file of a stopped guest), in turns, in the same guest. The guest writes to its memory all the
# time; its silence is measured from outside in its memory (pulse.c), without the time in which the whole machine stood still (still.h; `as seen`
# is with it). Guest memory in small pages, in huge ones, or in a memory file (small pages). Prints a table, or with --json one line of JSON per row; times in milliseconds.
# usage: pause.sh [--json] [--sizes "MIB..."] [--pages "4K huge shared"] [--rate MIB_PER_SECOND] [--rounds N] [--peers "NAME..."]
: "${PULSE:?must name the pulse program}"
. "$(dirname "$0")/../e2e/lib.sh"
json= sizes="256 1024" kinds="4K huge" rate=400 rounds=5 settle=3 peers="stasis stasis-fork background-snapshot stop-and-migrate savevm"
while [ $# != 0 ]; do
	case $1 in
	--json) json=yes ;;
	--sizes) sizes=$2 && shift ;;
	--pages) kinds=$2 && shift ;;
	--rate) rate=$2 && shift ;;
	--rounds) rounds=$2 && shift ;;
	--peers) peers=$2 && shift ;;
	*) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2 ;;
	esac
	shift
done
guest_files
mkfifo "$scratch/feed" "$scratch/said" || fail "no fifos"

# ---- QEMU, by QMP ----
qmp_begin() {
	coproc QMP { socat - "UNIX-CONNECT:$qmp"; }
	own $QMP_PID
	qmp_do '{"execute":"qmp_capabilities"}'
}
qmp_end() {
	kill "$QMP_PID"
	wait "$QMP_PID"
} 2>/dev/null
qmp_do() { # COMMAND: sets `answer`
	echo "$1" >&"${QMP[1]}"
	while read -r -t 600 answer <&"${QMP[0]}"; do
		case $answer in
		'{"return"'*) return ;;
		'{"error"'*) fail "QMP: $1: $answer" ;;
		esac
	done
	fail "QMP: no answer to $1"
}
capability() { qmp_do "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":[{\"capability\":\"$1\",\"state\":$2}]}}"; }
migrate() {
	qmp_do "{\"execute\":\"migrate-set-parameters\",\"arguments\":{\"max-bandwidth\":100000000000}}"
	qmp_do "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"exec:cat >$scratch/migrated && sync $scratch/migrated\"}}"
	while :; do
		qmp_do '{"execute":"query-migrate"}'
		case $answer in
		*'"status": "completed"'*) return ;;
		*'"status": "failed"'*) fail "QEMU: migration failed: $answer" ;;
		esac
		sleep 0.02
	done
}

# ---- one row: what is measured ----
take() { # PEER
	case $1 in
	nothing) sleep 2 ;;
	stasis*) # stasis-HOW: --snapshot=HOW
		local how=${1#stasis}
		how=${how#-} how=${how:-auto}
		"$STASIS" checkpoint "$pid" -o "$scratch/image" --force --snapshot="$how" >"$scratch/stasis.out" 2>&1 </dev/null ||
			fail "stasis checkpoint" ;;
	background-snapshot)
		capability background-snapshot true
		migrate
		capability background-snapshot false ;;
	stop-and-migrate)
		qmp_do '{"execute":"stop"}'
		migrate
		qmp_do '{"execute":"cont"}' ;;
	savevm)
		qmp_do '{"execute":"human-monitor-command","arguments":{"command-line":"savevm s"}}'
		qmp_do '{"execute":"human-monitor-command","arguments":{"command-line":"delvm s"}}' ;;
	esac
}
measure() { # PEER: sets `longest`, `seen`, `total` (microseconds), from one go
	local t out
	sync
	exec {feed}<>"$scratch/feed" {said}<>"$scratch/said"
	"$PULSE" "$pid" <"$scratch/feed" >"$scratch/said" {feed}>&- {said}>&- &
	watch=$!
	own $watch
	read -r -t 60 out <&$said || fail "no pulse"
	sleep 0.3
	t=$(date +%s%N)
	case $1 in stasis* | nothing) ;; *) qmp_begin ;; esac
	take "$1"
	case $1 in stasis* | nothing) ;; *) qmp_end ;; esac
	total=$((($(date +%s%N) - t) / 1000))
	no_keeper || wait_for 60 "the end of the watch" no_keeper # which is part of what the guest feels
	sleep 0.3
	echo >&$feed
	read -r -t 60 out <&$said || fail "the pulse was lost"
	exec {feed}>&- {said}<&-
	wait $watch
	longest=$(jq .longest <<<"$out") seen=$(jq .seen <<<"$out")
	rm -f "$scratch/image" "$scratch/migrated"
	sleep "$settle" # where we are a guest ourselves, what was freed goes back to the host within 2 s: that is not to disturb the next one
}
middle() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
ms() { awk -v us="$1" 'BEGIN { printf "%.1f", us / 1000 }'; }

[ -n "$json" ] || printf '%-8s %-6s %-20s %10s %10s %10s %10s\n' memory pages peer "silent ms" worst "as seen" "in all ms"
for size in $sizes; do
	for pages in $kinds; do
		launcher=() backend=()
		[ $pages = huge ] || launcher=("$PULSE" --small-pages)
		[ $pages != shared ] || backend=(-object "memory-backend-memfd,id=ram,size=${size}M,share=on" -machine memory-backend=ram)
		rm -f "$scratch/disk.qcow2"
		qemu-img create -q -f qcow2 "$scratch/disk.qcow2" 64M || fail "qemu-img"
		guest_launch "period=1000000 pulse=$rate:$((size * 5 / 8))" "$size" -smp 1 -drive "if=none,id=d,file=$scratch/disk.qcow2,format=qcow2" \
			-device virtio-blk-pci,drive=d "${backend[@]}"
		wait_for "$E2E_PATIENCE" "the pulse" grep -aq "^PULSE" "$log"
		sleep 1
		declare -A all=() saw=() whole=()
		for ((i = 0; i <= rounds; i++)); do # the first is for warming up
			for peer in nothing $peers; do
				measure "$peer"
				[ $i = 0 ] || all[$peer]+=" $longest" saw[$peer]+=" $seen" whole[$peer]+=" $total"
			done
		done
		for peer in nothing $peers; do
			# shellcheck disable=SC2086 # lists of numbers
			silent=$(middle ${all[$peer]}) worst=$(printf '%s\n' ${all[$peer]} | sort -n | tail -1) total=$(middle ${whole[$peer]}) seen=$(middle ${saw[$peer]})
			if [ -n "$json" ]; then
				jq -cn --arg peer "$peer" --arg pages $pages --argjson mib "$size" --argjson rate "$rate" --arg all "${all[$peer]}" --arg saw "${saw[$peer]}" --argjson total "$total" \
					'def list: split(" ") | map(select(. != "") | tonumber); {$mib, $pages, $rate, $peer, silent_us: ($all | list), seen_us: ($saw | list), total_us: $total}'
			else
				printf '%-8s %-6s %-20s %10s %10s %10s %10s\n' "$size MiB" $pages "$peer" "$(ms "$silent")" "$(ms "$worst")" "$(ms "$seen")" "$(ms "$total")"
			fi
		done
		end_process "$pid"
	done
done
