#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A virtual CPU whose thread does not come back from a slow device within the time limit: the checkpoint is given up and names it,
# the guest runs on as if nothing had been, and the next checkpoint, with time enough, works.
. "$(dirname "$0")/lib.sh"
: "${TEST_VMM:?must name test-vmm}" "${BARE_GUEST:?must name the bare-metal guest}"
log=$scratch/console.log
"$STASIS" run --name slow -- "$TEST_VMM" --slow-ms 1500 --append nested-tcg "$BARE_GUEST" >"$log" 2>"$scratch/target.out" </dev/null &
pid=$!
own "$pid"
wait_for 60 "the first ticks" grep -q TICK "$log"

refused=
for ((i = 0; i < 20 && !refused; i++)); do # it is in the device nearly all the time
	if ! "$STASIS" checkpoint "$pid" -o "$scratch/image" --force --timeout 200ms >"$scratch/stasis.out" 2>&1 </dev/null; then
		grep -q "virtual CPU [01] .*did not come to rest.*--timeout" "$scratch/stasis.out" || fail "another message"
		refused=1
	fi
done
[ -n "$refused" ] || fail "no checkpoint met a virtual CPU in the slow device"
step "$(tail -n 1 "$scratch/stasis.out")"
[ "$(grep State "/proc/$pid/status" | cut -f2 | cut -c1)" != t ] || fail "the target is left stopped"
before=$(grep -c TICK "$log")
more() { [ "$(grep -c TICK "$log")" -gt $((before + 2)) ]; }
wait_for 60 "ticks after the refusal" more
run_stasis checkpoint "$pid" -o "$scratch/image" --force --timeout 60s
end_process "$pid"
restart_image "$scratch/image"
before=$(grep -c TICK "$log")
wait_for 60 "ticks after the restart" more
! grep -q BAD "$log" || fail "$(grep -m3 BAD "$log")"
end_process "$pid"
nothing_left
