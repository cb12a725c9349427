#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program with commands to a USB disk in flight, which compares every byte: it notices nothing of checkpoints that it survives; it goes on
# from one with --stop in the same port, and, generation by generation, in the other port (unplugged and plugged in meanwhile). In the midst of
# a command it goes on with the same device. So does one that waits within USBDEVFS_REAPURB.
. "$(dirname "$0")/usb-lib.sh"
generations=${1:-3}
usb_begin usb_f_mass_storage
"$USB_LOAD" fill "$scratch/disk" || fail "no disk"
gadget_disk stick 5001 A1 "$scratch/disk"
gadget_plug stick 0

stop_and_restart() { # OPTIONS OF RESTART...
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
	[ -z "${between:-}" ] || "$between"
	restart_image "$scratch/image" "$@"
}
elsewhere() {
	gadget_unplug stick
	at=$((1 - at))
	gadget_plug stick $at
	wait_for 30 "the kernel's own driver" has_driver "$port" usb-storage
}

# One that only reads may be restarted from what it was a while ago.
wait_for 30 "the kernel's own driver" has_driver "$port" usb-storage
usb_load read 1d6b:5001
for ((i = 0; i < 3; i++)); do
	progress DISK 1
	take_checkpoint "$pid" "$scratch/image" --force
	progress DISK 1
	end_process "$pid"
	restart_image "$scratch/image"
done
progress DISK 1
end_process "$pid"

for mode in disk wait; do
	at=0 between=''
	usb_load $mode 1d6b:5001
	progress DISK 3
	run_stasis check "$pid"
	grep -q "found again at the restart" "$scratch/stasis.out" || fail "check does not say what will happen"
	for ((i = 0; i < 3; i++)); do # it goes on
		take_checkpoint "$pid" "$scratch/image" --force
		progress DISK 1
	done
	end_process "$pid"
	step "$mode: checkpoints of a living program"

	"$USB_LOAD" fill "$scratch/disk.new" && cp "$scratch/disk.new" "$scratch/disk"
	usb_load $mode 1d6b:5001
	progress DISK 2
	stop_and_restart
	progress DISK 3
	has_driver "$port" usbfs || fail "the interface is not claimed but $(driver_of "$port")"
	between=elsewhere
	for ((g = 1; g <= generations; g++)); do
		stop_and_restart
		progress DISK 2
		step "$mode: generation $g, in port $port"
	done
	end_process "$pid"
	if [ $at = 1 ]; then elsewhere; fi
	gadget_unplug stick
	cp "$scratch/disk.new" "$scratch/disk"
	gadget_plug stick 0
done

# In the midst of a command, which lasts for longer than a checkpoint waits.
between=''
usb_load disk 1d6b:5001 8000
progress DISK 1
sleep 2
stop_and_restart
grep -q "command to a USB disk has not come to its end" "$scratch/stasis.out" || true
progress DISK 2
! grep "^SENSE" "$log" | sed 1d | grep . || fail "a command was repeated"
end_process "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
