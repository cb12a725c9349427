#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest has a USB stick of the host (QEMU's usb-host), which it has mounted and writes to all the time, reading back what it has written. Generation
# by generation it is stopped in the midst of that, the stick goes to the other port, and it is restarted there. At the end the file system is clean and
# every file has its sum, and the guest has seen no error, no reset and no unplugged stick.
# usage: usb-guest [GENERATIONS [ACCELERATOR]]
. "$(dirname "$0")/usb-lib.sh"
E2E_PATIENCE=600
generations=${1:-10} accelerator=${2:-kvm}
usb_begin usb_f_mass_storage
[ "$accelerator" != kvm ] || [ -c /dev/kvm ] || skip "no /dev/kvm"
kernel=$(echo "$setup_cache/lab/kernel/boot/vmlinuz-$(uname -r)")
"$(dirname "$0")/../usb/build-initrd" "$scratch/initrd" || fail "no initrd"
truncate -s 32M "$scratch/disk" && mke2fs -q -t ext4 "$scratch/disk" || fail "mke2fs"
gadget_disk stick 5001 A1 "$scratch/disk"
gadget_plug stick 0

log=$scratch/console.log
: >"$log"
"$STASIS" run --name lab-guest -- qemu-system-x86_64 -M pc,accel="$accelerator" -m 192 -nodefaults -no-user-config -display none -no-reboot \
	-kernel "$kernel" -initrd "$scratch/initrd" \
	-append "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=60" \
	-chardev "socket,id=serial,path=$scratch/serial.sock,server=on,wait=off,logfile=$log" -serial chardev:serial \
	-qmp "unix:$scratch/qmp.sock,server=on,wait=off" -device qemu-xhci,id=xhci \
	-device usb-host,bus=xhci.0,vendorid=0x1d6b,productid=0x5001 >"$scratch/qemu.out" 2>&1 </dev/null &
pid=$!
own "$pid"
is_well() {
	! grep -a "^BAD" "$log" || fail "the guest says so"
	! is_gone "$pid" || fail "QEMU has ended"
}
wrote() { tr -d '\r' <"$log" | sed -n 's/^WROTE //p' | tail -n 1; }
has_written() { is_well; [ "$(wrote)" -ge "$1" ] 2>/dev/null; }
wait_for "$E2E_PATIENCE" "the guest to write" has_written 2
step "the guest writes: $(wrote)"

at=0
run_stasis check "$pid"
take_checkpoint "$pid" "$scratch/image" --force # it goes on
now=$(wrote)
wait_for "$E2E_PATIENCE" "two more files" has_written $((now + 2))
for ((g = 1; g <= generations; g++)); do
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped guest to be gone" is_gone "$pid"
	now=$(wrote)
	gadget_unplug stick
	at=$((1 - at))
	gadget_plug stick $at
	t=$(date +%s%N)
	restart_image "$scratch/image"
	wait_for "$E2E_PATIENCE" "two more files" has_written $((now + 2))
	step "generation $g in port $port: file $(wrote) after $(seconds "$(elapsed_ms "$t")")"
done
serial=$scratch/serial.sock
guest_ask quit "^BYE"
! grep -a "^DMESG" "$log" | grep -v "power-on or device reset occurred" || fail "the guest has seen something"
wait_for "$E2E_PATIENCE" "QEMU's end" is_gone "$pid"
is_unused() { [ "$(driver_of "$port")" != usbfs ]; }
wait_for 30 "the stick to be free" is_unused
gadget_unplug stick
e2fsck -fn "$scratch/disk" >"$scratch/fsck.out" 2>&1 || fail "the file system is not clean: $(cat "$scratch/fsck.out")"
mkdir "$scratch/files" && debugfs -R "rdump / $scratch/files" "$scratch/disk" >/dev/null 2>&1
files=0
for sum in "$scratch"/files/sum*; do
	f=$scratch/files/f${sum##*/sum}
	[ "$(md5sum <"$f" | cut -d' ' -f1)" = "$(cat "$sum")" ] || fail "$f is damaged"
	files=$((files + 1))
done
[ $files = 16 ] || fail "$files files instead of 16"
step "$generations generations, $(wrote) files written; the file system is clean, $files files have their sums"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
