#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Many from one: how long it takes from `stasis restart --clones N` until each of them has ticked, and how much memory they have for themselves and
# share, against N restarts that read everything (eager), as far as these fit. The guest has filled half of its memory with random data and read it once, and ticks every 500 ms: many guests that wait, as those of a test farm do.
# usage: clones.sh [--json] [--size MIB] [N...]		default: 10 50
. "$(dirname "$0")/../e2e/lib.sh"
json= size=256
while [ $# != 0 ]; do
	case $1 in
	--json) json=yes ;;
	--size) size=$2 && shift ;;
	[0-9]*) break ;;
	*) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2 ;;
	esac
	shift
done
numbers=("$@")
[ ${#numbers[@]} != 0 ] || numbers=(10 50)
guest_files
image=$scratch/guest.stasis

logs() { for ((c = 1; c <= n; c++)); do echo "$scratch/$c/console.log"; done; }
all_have_ticked() { ! stat -c %s $(logs) | grep -qx "$log_bytes"; }
memory_of_all() { # FIELD of smaps_rollup: MiB, of all clones together
	local c files=()
	for ((c = 1; c <= n; c++)); do files+=("/proc/$(cat "$scratch/$c/pid")/smaps_rollup"); done
	awk -v field="$1:" '$1 == field { kib += $2 } END { printf "%d", kib / 1024 }' "${files[@]}"
}
clones_end() {
	local c
	for ((c = 1; c <= n; c++)); do kill -9 "$(cat "$scratch/$c/pid")"; done
	for ((c = 1; c <= n; c++)); do wait_for 60 "clone $c to be gone" is_gone "$(cat "$scratch/$c/pid")"; done
}
measure() { # WAY
	local c t up all
	for ((c = 1; c <= n; c++)); do
		rm -rf "${scratch:?}/$c" && mkdir "$scratch/$c" && cp "$log" "$scratch/qemu.pid" "$scratch/$c/" || fail "no room"
	done
	t=$(date +%s%N)
	"$STASIS" restart "$image" --detach --clones "$n" --pidfile "$scratch/{n}/pid" --disk=revert --lazy="$1" \
		--map "file:$log=$scratch/{n}/console.log" --map "socket:unix:$qmp=unix:$scratch/{n}/qmp.sock" \
		--map "socket:unix:$serial=unix:$scratch/{n}/serial.sock" --map "file:$scratch/qemu.pid=$scratch/{n}/qemu.pid" >"$scratch/clones.out" 2>&1 </dev/null &
	wait $! || fail "restart --clones $n --lazy=$1"
	up=$(elapsed_ms "$t")
	for ((c = 1; c <= n; c++)); do own "$(cat "$scratch/$c/pid")"; done
	until all_have_ticked; do
		[ "$(elapsed_ms "$t")" -lt 120000 ] || fail "they do not all tick"
		sleep 0.02
	done
	all=$(elapsed_ms "$t")
	sleep 2
	if [ -n "$json" ]; then
		jq -cn --argjson mib "$size" --argjson clones "$n" --arg lazy "$1" --argjson up "$up" --argjson all "$all" --argjson own "$(memory_of_all Private_Dirty)" \
			--argjson pss "$(memory_of_all Pss)" '{$mib, $clones, $lazy, command_ms: $up, all_tick_ms: $all, own_mib: $own, pss_mib: $pss}'
	else
		printf '%6d MiB %6d clones  lazy=%-5s %9d ms until the command ends %9d ms until all tick %7d MiB written %7d MiB in all (PSS)\n' \
			"$size" "$n" "$1" "$up" "$all" "$(memory_of_all Private_Dirty)" "$(memory_of_all Pss)"
	fi
	clones_end
}

guest_words="quiet panic=-1 period=500 nap=1000000"
guest_start "fill=$((size / 2))" "$size" -smp 1 >&2
wait_for "$E2E_PATIENCE" "ticks" grep -q "^TICK .* 0 8 " "$log"
run_stasis checkpoint "$pid" -o "$image" --compress=none --stop >&2
log_bytes=$(log_size)
for n in "${numbers[@]}"; do
	[ $((n * size)) -gt $(($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) / 2048)) ] || measure off
	measure auto
done
