#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest on KVM that is frozen at some moment of its kernel's start boots on after a restart, to a healthy user space.
# usage: kvm-linux-booting-guest-boots-on [PERCENT...]     the moments, of the time that one start takes
. "$(dirname "$0")/lib.sh"
guest_kvm microvm
launcher=("$STASIS" run --name lab-guest --)
[ $# != 0 ] || set -- 2 15 30 45 60 75 90

is_ready() { grep -qs '^READY' "$log"; }
begin=$(elapsed_ms)
guest_launch "" 192
wait_for "$E2E_PATIENCE" "the guest's user space" is_ready
whole=$(($(elapsed_ms) - begin))
step "a start takes $(seconds $whole)"
end_process "$pid"

early=0
for percent; do
	guest_launch "" 192
	sleep "$(seconds $((whole * percent / 100)) | tr -d ' s')"
	! is_ready || step "the guest was there earlier than the last time"
	is_ready || early=$((early + 1))
	take_checkpoint "$pid" "$scratch/$percent.stasis" --stop
	wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"
	restart_image "$scratch/$percent.stasis"
	wait_for "$E2E_PATIENCE" "the guest's first tick" grep -qs '^TICK' "$log"
	guest_nonce
	guest_goes_on
	end_process "$pid"
	rm "$scratch/$percent.stasis"
	step "frozen at $percent %: up and healthy"
done
[ $early != 0 ] || fail "not one checkpoint was made before the guest's user space was there"
nothing_left
