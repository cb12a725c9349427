#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A restart of a virtual machine fails, or loses its controller, at every step at which it takes hold of KVM: one message, nothing is left
# behind, and the image is as it was. The same image restarts once the fault is gone, and the bare-metal guest finds nothing wrong.
. "$(dirname "$0")/lib.sh"
: "${TEST_VMM:?must name test-vmm}" "${BARE_GUEST:?must name the bare-metal guest}"
log=$scratch/console.log
image=$scratch/image.stasis
"$STASIS" run --name bare -- "$TEST_VMM" --append nested-tcg "$BARE_GUEST" >>"$log" 2>"$scratch/target.out" </dev/null &
pid=$!
own "$pid"
bare_tick() { awk '$1 == "TICK" { n = $(NF - 1) } END { print n + 0 }' "$log"; }
beyond() { [ "$(bare_tick)" -gt "$1" ]; }
wait_for "$E2E_PATIENCE" "the first ticks" beyond 1
take_checkpoint "$pid" "$image" --stop
wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"
sum=$(sha256sum "$image")
ticks_are_well
nonce=${now%% *}

faulty() { # FAULT [PATTERN]: a restart fails; the message fits
	local status
	timeout 120 env STASIS_FAULT="$1" "$STASIS" restart "$image" --detach --pidfile "$scratch/never" >"$scratch/refused.out" 2>&1 </dev/null
	status=$?
	sed 's/^/    /' "$scratch/refused.out"
	[ $status != 0 ] && [ $status != 124 ] || fail "$1: the restart ends with $status"
	[ -z "${2:-}" ] || { grep -q -- "$2" "$scratch/refused.out"; } || fail "$1: the message does not say '$2'"
	wait_for 30 "what the failed restart began to be gone" nothing_is_left
	[ ! -e "$scratch/never" ] || fail "$1: there is a pid file"
	[ "$(sha256sum "$image")" = "$sum" ] || fail "$1: the image has changed"
	ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q 'anon_inode:kvm' && fail "$1: a process holds a machine"
	step "$1: refused, nothing is left"
}
faulty kvm.open "/dev/kvm"
for point in create-vm create-vcpu memory-slots vcpu-state; do
	faulty "kvm.$point" "kvm.$point"
	faulty "kvm.$point=12" # as the kernel's own ENOMEM
	faulty "kvm.$point=kill"
done

restart_image "$image"
tick=$(bare_tick)
wait_for "$E2E_PATIENCE" "two more ticks" beyond $((tick + 1))
ticks_are_well
[ "${now%% *}" = "$nonce" ] || fail "nonce ${now%% *} instead of $nonce"
step "the same image restarts: $now"
end_process "$pid"
nothing_left
