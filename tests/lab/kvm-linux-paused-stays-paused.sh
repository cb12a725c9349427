#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest on KVM that QEMU has been told to stop is stopped after a restart, and after the next one, and then goes on as if
# nothing had been.
. "$(dirname "$0")/lib.sh"
guest_kvm microvm
guest_disk
mapfile -t disk < <(guest_with_disk)
launcher=("$STASIS" run --name lab-guest --)
guest_start "fill=4" 192 "${disk[@]}"
guest_healthy
guest_nonce

still_paused() {
	local size
	[ "$(qmp_status)" = paused ] || fail "QMP says that the guest is $(qmp_status), not paused"
	size=$(log_size)
	sleep 2
	[ "$(log_size)" = "$size" ] || fail "a paused guest ticks"
}
qmp_ask stop >/dev/null
still_paused
take_checkpoint "$pid" "$scratch/first.stasis"
still_paused
qmp_ask cont >/dev/null
guest_goes_on # the original can
end_process "$pid"

restart_image "$scratch/first.stasis"
still_paused
take_checkpoint "$pid" "$scratch/second.stasis" --stop
wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"
restart_image "$scratch/second.stasis"
still_paused
qmp_ask cont >/dev/null
guest_goes_on
end_process "$pid"
nothing_left
