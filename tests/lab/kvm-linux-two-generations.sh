#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest on KVM with two busy CPUs and a mounted disk goes through checkpoint, kill and restart, twice, and once more
# from the first image: nothing is noticed inside, and the disk is always that of the instant.
. "$(dirname "$0")/lib.sh"
image1=$scratch/first.stasis image2=$scratch/second.stasis

expect_disk() { # ID EXPECTED
	local got
	got=$(guest_md5 "$1") || { echo "$got"; exit 1; }
	[ "$got" = "$2" ] || fail "the guest's disk holds:"$'\n'"$got"$'\n'"instead of:"$'\n'"$2"
	step "disk $1: $(wc -l <<<"$got") files as expected"
}

guest_kvm microvm
guest_disk
mapfile -t disk < <(guest_with_disk)
launcher=("$STASIS" run --name lab-guest --)
guest_start "fill=4 churn=1" 192 "${disk[@]}"
guest_healthy
guest_nonce
disk1=$(guest_md5 before) || { echo "$disk1"; exit 1; }
run_stasis check lab-guest

take_checkpoint lab-guest "$image1"
run_stasis verify "$image1"
guest_ask "write later" "^WROTE later"
guest_goes_on # the original ran on
end_process "$pid"

restart_image "$image1"
guest_goes_on
expect_disk restarted "$disk1"
guest_ask "write second" "^WROTE second"
disk2=$(guest_md5 second) || { echo "$disk2"; exit 1; }
take_checkpoint "$pid" "$image2" --stop
wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"

restart_image "$image2"
guest_goes_on
expect_disk second-generation "$disk2"
end_process "$pid"

restart_image "$image1" --disk=revert # it is the second image's now
guest_goes_on
expect_disk reverted-to-first "$disk1"
guest_ask quit "^BYE"
wait_for "$E2E_PATIENCE" "QEMU to end" is_gone "$pid"
ticks_are_well
qemu-img check -q "$scratch/disk.qcow2" || fail "qemu-img check: $(qemu-img check "$scratch/disk.qcow2" 2>&1)"
qemu-img convert -O raw "$scratch/disk.qcow2" "$scratch/disk.raw"
e2fsck -fn "$scratch/disk.raw" >"$scratch/e2fsck.out" 2>&1 || fail "e2fsck"
step "guest shut down, qcow2 and ext4 are clean"
nothing_left
