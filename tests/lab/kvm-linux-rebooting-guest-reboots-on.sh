#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest on KVM that is frozen while it reboots (shutting down, in the reset, at the start of its kernel) comes up after a
# restart; its disk has what was written before.
# usage: kvm-linux-rebooting-guest-reboots-on [SECONDS...]     the moments, after the guest has said that it reboots
. "$(dirname "$0")/lib.sh"
guest_kvm microvm
guest_disk
mapfile -t disk < <(guest_with_disk)
launcher=("$STASIS" run --name lab-guest --)
[ $# != 0 ] || set -- 0 0.3 1 4
guest_start "" 192 "${disk[@]}"
guest_healthy

for moment; do
	guest_ask "write before-$moment" "^WROTE before-$moment"
	files=$(guest_md5 "before-$moment") || { echo "$files"; exit 1; }
	guest_nonce
	before=$nonce from=$(log_size)
	guest_ask reboot "^REBOOTING"
	sleep "$moment"
	! log_has "$from" '^READY' || fail "$moment s after the guest's word it is up again: too late for this scenario"
	take_checkpoint "$pid" "$scratch/$moment.stasis" --stop
	wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"
	restart_image "$scratch/$moment.stasis"
	wait_for "$E2E_PATIENCE" "the guest to be up after the reboot" log_has "$from" '^READY'
	from=$(log_size)
	wait_for "$E2E_PATIENCE" "the guest's first tick after the reboot" log_has "$from" '^TICK'
	guest_nonce
	[ "$nonce" != "$before" ] || fail "the guest has not been rebooted"
	guest_goes_on
	[ "$(guest_md5 "after-$moment")" = "$files" ] || fail "the disk has not what was written before the reboot"
	rm "$scratch/$moment.stasis"
	step "frozen $moment s after the start of the reboot: up and healthy"
done
end_process "$pid"
nothing_left
