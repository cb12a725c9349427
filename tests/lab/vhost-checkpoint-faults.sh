#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Checkpoints of a guest with vhost-net fail, or lose their controller, while its rings are stopped: in every case all of its
# connections and queues go on. So they do after both processes were killed at once and another checkpoint was taken.
. "$(dirname "$0")/vhost-lib.sh"
vhost_begin "${1:-16}" "${2:-40}"
run_stasis check "$pid"
grep -q "vhost-net.*stopped for the moment" "$scratch/stasis.out" || fail "check does not say what will happen"

faulty() { # FAULT [OPTIONS...]
	local fault=$1
	shift
	! STASIS_FAULT=$fault "$STASIS" checkpoint "$pid" -o "$scratch/image" --force "$@" >"$scratch/stasis.out" 2>&1 </dev/null || fail "$fault: not reached"
	[ ! -e "$scratch/image" ] || fail "$fault: there is an image"
	all_progress
	step "$fault $*: the guest has not noticed"
}
faulty vhost.rest
faulty vhost.stopped
faulty vhost.stopped=kill
faulty checkpoint.thaw=kill
faulty checkpoint.write --stop
faulty checkpoint.write=kill --stop
same_guest "$nonce"

# Both at once: nobody is left who could start the rings, but the next checkpoint does.
STASIS_FAULT=vhost.stopped=hang "$STASIS" checkpoint "$pid" -o "$scratch/image" >"$scratch/stasis.out" 2>&1 </dev/null &
front=$!
own $front
hangs() { controller=$(pgrep -P "$front") && [ "$(cut -d' ' -f1 "/proc/$controller/syscall")" = 34 ]; } # pause
wait_for "$E2E_PATIENCE" "the controller to hang" hangs
kill -9 "$front" "$controller"
wait "$front" 2>/dev/null
take_checkpoint "$pid" "$scratch/image"
all_progress
same_guest "$nonce"
end_process "$pid"
