#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# From `stasis restart` to the first tick of a Linux guest: eager, lazy, and, side by side, QEMU's own -incoming from a file.
#	first-tick.sh [--json] [MIB...]		default: 256, and 4096 where the host has 12 GiB free
# Each guest has filled half of its memory with random data and ticks every 2 ms. Five runs each; the median counts.
# `floor` is the time that reading the image and copying it once takes.
. "$(dirname "$0")/../e2e/lib.sh"
: "${FIRST_TICK:?must name the first-tick program}"
guest_files
json=
[ "${1:-}" = --json ] && { json=1; shift; }
sizes=("$@")
if [ ${#sizes[@]} = 0 ]; then
	sizes=(256)
	[ "$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -lt 12 ] || sizes+=(4096)
fi
guest_words="quiet panic=-1 period=2"
runs=${RUNS:-5}
rows=()

median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

restart_once() { # OPTION...: milliseconds
	rm -f "$scratch/bench.pid"
	truncate -s "$log_bytes" "$log" # as it was at the checkpoint
	local ms
	ms=$("$FIRST_TICK" "$log" "$STASIS" restart "$image" --detach --pidfile "$scratch/bench.pid" "$@" </dev/null) || fail "restart $*"
	wait_for 10 "the restart's pid" test -s "$scratch/bench.pid" # which the tick may outrun
	pid=$(cat "$scratch/bench.pid")
	own "$pid"
	end_process "$pid" >&2
	echo "$ms"
}
incoming_once() {
	local ms
	rm -f "$scratch/qemu.pid"
	# shellcheck disable=SC2016
	ms=$("$FIRST_TICK" "$log" sh -c 'exec setsid -f "$@" >/dev/null 2>&1' sh qemu-system-x86_64 "${guest_machine[@]}" -smp 2 -m "$memory" -nodefaults -display none \
		-kernel "$E2E_GUEST/$guest_kernel" -initrd "$E2E_GUEST/initrd" -append "console=ttyS0 no_timer_check $guest_words fill=$fill" \
		-chardev "socket,id=serial,path=$serial,server=on,wait=off,logfile=$log,logappend=on" -serial chardev:serial \
		-pidfile "$scratch/qemu.pid" -incoming "exec:cat $scratch/qemu.migration" </dev/null) || fail incoming
	wait_for 10 "QEMU's pid" test -s "$scratch/qemu.pid"
	pid=$(cat "$scratch/qemu.pid")
	own "$pid"
	end_process "$pid" >&2
	echo "$ms"
}
floor_once() { # reading the image and copying it once, in memory that nobody has touched
	"$FIRST_TICK" --copy "$image"
}
migrated() { qmp_ask query-migrate >"$scratch/migrate-status"; grep -q '"status": "completed"' "$scratch/migrate-status"; }

measure() { # NAME FUNCTION ARGUMENTS...
	local name=$1 i times=()
	shift
	local m t
	for ((i = 0; i < runs; i++)); do
		t=$("$@") || { echo "$t"; exit 1; }
		times+=("$t")
	done
	m=$(median "${times[@]}")
	rows+=("$memory $name $m ${times[*]}")
	[ -n "$json" ] || printf '%6d MiB  %-22s %9.1f ms   (%s)\n' "$memory" "$name" "$m" "${times[*]}"
}

for memory in "${sizes[@]}"; do
	fill=$((memory / 2)) image=$scratch/guest.stasis
	guest_start "fill=$fill" "$memory" >&2
	wait_ticks 20
	printf '{"execute":"qmp_capabilities"}\n{"execute":"migrate","arguments":{"uri":"exec:cat > %s"}}\n' "$scratch/qemu.migration" |
		timeout 10 socat -t 5 - "UNIX-CONNECT:$qmp" >/dev/null
	wait_for 600 "the migration into a file" migrated
	qmp_ask cont >/dev/null
	wait_ticks 20
	run_stasis checkpoint "$pid" -o "$image" --compress=none --force --stop >&2
	log_bytes=$(log_size)
	measure floor floor_once
	measure stasis-eager restart_once --lazy=off
	measure stasis-lazy restart_once --lazy=on
	measure qemu-incoming incoming_once
	run_stasis verify "$image" >&2
	rm -f "$scratch/qemu.migration"
done
[ -z "$json" ] || printf '%s\n' "${rows[@]}" | jq -R 'split(" ") | { mib: .[0] | tonumber, what: .[1], ms: .[2] | tonumber, runs: .[3:] | map(tonumber) }' | jq -s .
