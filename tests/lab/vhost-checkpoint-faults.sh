#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Checkpoints of a guest with vhost-net fail, or lose their controller, while its rings are stopped: in every case all of its
# connections and queues go on. So they do after both processes were killed at once and another checkpoint was taken. A restart where
# /dev/vhost-net is missing or is another device, or whose rings cannot be started, fails with its name and leaves nothing.
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
take_checkpoint "$pid" "$scratch/image" --force
all_progress
same_guest "$nonce"

take_checkpoint "$pid" "$scratch/image" --force --stop
wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"
sum=$(sha256sum "$scratch/image")
trap 'mv -f /dev/vhost-net.away /dev/vhost-net 2>/dev/null; e2e_cleanup' EXIT
refused() { # WHAT PATTERN
	! "$STASIS" restart "$scratch/image" --detach --pidfile "$scratch/never" >"$scratch/refused.out" 2>&1 </dev/null || fail "$1: the restart succeeds"
	sed 's/^/    /' "$scratch/refused.out"
	grep -q -- "$2" "$scratch/refused.out" || fail "$1: the message does not say '$2'"
	[ "$(sha256sum "$scratch/image")" = "$sum" ] || fail "$1: the image has changed"
	[ -z "$(ours | grep -v net-load)" ] || fail "$1: left behind: $(ours)"
	step "refused: $1"
}
mv /dev/vhost-net /dev/vhost-net.away
refused "no /dev/vhost-net" /dev/vhost-net
mknod -m 600 /dev/vhost-net c 1 3
refused "/dev/vhost-net is another device" /dev/vhost-net
mv -f /dev/vhost-net.away /dev/vhost-net
STASIS_FAULT=vhost.start refused "the rings cannot be started" vhost.start
restart_image "$scratch/image"
all_progress
same_guest "$nonce"
end_process "$pid"
