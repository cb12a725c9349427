# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the scenarios with KVM guests (bash), which run in the lab: on top of the end-to-end scenarios' functions, the
# machines of such guests, and what must be true of one after every checkpoint and restart.

# The lab is slow, and others may work on this machine: patience, and room for the guest's clock between two ticks.
E2E_PATIENCE=${E2E_PATIENCE:-300} E2E_JUMP_MS=${E2E_JUMP_MS:-30000}
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
[ -c /dev/kvm ] || skip "no /dev/kvm"

# guest_kvm MACHINE [CPU_MODEL]: says what guest_launch is to start: microvm (PVH, virtio-mmio), or pc or q35 (firmware, PC
# devices, PCI). MACHINE may have options, as QEMU has them. Sets `guest_disk_device`.
guest_kvm() {
	E2E_GUEST=${E2E_GUEST:-$(setup_kvm_guest)} || skip "no guest kernel: it could not be fetched"
	guest_machine=(-accel kvm -M "$1" -cpu "${2:-host}") guest_kernel=vmlinuz
	guest_words="quiet panic=-1 period=200 strain=1"
	guest_words+=" watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=60" # to boot may take long where others work as well
	guest_disk_device=virtio-blk-pci
	case $1 in microvm*) guest_kernel=vmlinux guest_disk_device=virtio-blk-device guest_words+=" reboot=t" ;; esac
}
guest_with_disk() { # prints QEMU's arguments for the disk that guest_disk made, a line each
	printf '%s\n' -drive "if=none,id=disk,file=$scratch/disk.qcow2,format=qcow2" -device "$guest_disk_device,drive=disk"
}

# guest_healthy: every part of the guest says once more that all is well, on both CPUs, and none ever said that it is not.
guest_healthy() {
	local from what now
	from=$(log_size)
	wait_ticks 5
	for what in "^FPU ok 0" "^FPU ok 1" "^CLOCKS ok 0" "^CLOCKS ok 1" "^TIMERS ok"; do
		wait_for "$E2E_PATIENCE" "'$what'" log_has "$from" "$what"
	done
	[ ! -e "$scratch/disk.qcow2" ] || wait_for "$E2E_PATIENCE" "'DISK ok'" log_has "$from" "^DISK ok"
	ticks_are_well
}
ticks_are_well() { # sets `now`
	now=$(ticks) || { echo "$now"; exit 1; }
}
guest_nonce() { # sets `nonce`
	ticks_are_well
	nonce=${now%% *}
}
qmp_status() { qmp_ask query-status | jq -r '.return.status'; }
guest_goes_on() { # after a checkpoint or restart: the same guest, healthy, and QEMU takes new clients
	guest_healthy
	[ "$(qmp_status)" = running ] || fail "QMP does not say that the guest is running"
	serial_shows_ticks || fail "a new client of the serial port sees no ticks"
	same_guest "$nonce"
}
# one_generation IMAGE: checkpoint the target `pid`, which runs on; kill it; restart.
one_generation() {
	take_checkpoint "$pid" "$1"
	guest_goes_on
	end_process "$pid"
	restart_image "$1"
	guest_goes_on
}
nothing_left() {
	[ -z "$(ours)" ] || fail "left behind: $(ours)"
}
