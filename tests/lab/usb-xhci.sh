#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program with commands to a USB disk in flight, on the driver of a real controller (xHCI): checkpoints that it survives, and ones with --stop in the same
# and in the other port of the controller. Then one with isochronous requests to a sound card. To be
# run by usb-monitor.
. "$(dirname "$0")/usb-lib.sh"
generations=${1:-3}
modprobe -a xhci_pci usb_storage || skip "no xHCI"
stick="QEMU USB HARDDRIVE"
name_of() { cat "/sys/bus/usb/devices/$1/product"; }
port_of() { # the one there is
	local d
	for d in /sys/bus/usb/devices/*; do
		[ "$(cat "$d/idVendor" 2>/dev/null):$(cat "$d/idProduct" 2>/dev/null)" != 46f4:0001 ] || echo "${d##*/}"
	done
}
there() { wait_for 60 "the disk" is_plugged "$stick"; port=$(port_of); step "the disk is in port $port: $(node_of "$port") $(name_of "$port")"; }
there
wait_for 30 "the kernel's own driver" has_driver "$port" usb-storage
usb_load disk 46f4:0001
progress DISK 2
for ((i = 0; i < 5; i++)); do
	take_checkpoint "$pid" "$scratch/image" --force
	progress DISK 1
done
at=1
for ((g = 0; g <= generations; g++)); do
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
	if [ $g != 0 ]; then # the first one in the same port
		echo "MONITOR device_del usb$at"
		wait_for 60 "the disk to be gone" is_unplugged "$stick"
		at=$((3 - at))
		echo "MONITOR device_add usb-storage,id=usb$at,bus=usb.0,port=$at,drive=disk,serial=A1"
		there
	fi
	restart_image "$scratch/image"
	progress DISK 2
	step "generation $g in port $port"
done
end_process "$pid"

usb_load sound 46f4:0002
progress SOUND 2
for ((i = 0; i < 3; i++)); do
	take_checkpoint "$pid" "$scratch/image" --force
	progress SOUND 1
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
	restart_image "$scratch/image"
	progress SOUND 2
done
end_process "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
