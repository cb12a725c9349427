#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A checkpoint fails while requests to a USB disk are in flight: the program goes on. A restart whose disk is missing, taken, mounted, forbidden, has
# another serial number or is another product is refused with a remedy, and nothing is left; one that fails half way gives the disk back to the
# kernel's driver. One that waits finds it. Another one is taken if that is asked for; with none the program sees it unplugged.
. "$(dirname "$0")/usb-lib.sh"
usb_begin usb_f_mass_storage sd_mod
"$USB_LOAD" fill "$scratch/disk" || fail "no disk"
gadget_disk stick 5001 A1 "$scratch/disk"
gadget_plug stick 0
wait_for 30 "the kernel's own driver" has_driver "$port" usb-storage
usb_load disk 1d6b:5001
progress DISK 2

faulty() { # FAULT [OPTIONS...]
	local fault=$1
	shift
	! STASIS_FAULT=$fault "$STASIS" checkpoint "$pid" -o "$scratch/image" --force "$@" >"$scratch/stasis.out" 2>&1 </dev/null || fail "$fault: not reached"
	[ ! -e "$scratch/image" ] || fail "$fault: there is an image"
	progress DISK 1
	step "$fault $*: the program has not noticed"
}
faulty usb.rest
faulty usb.rest --stop
faulty usb.cancelled --stop
faulty usb.cancelled=kill --stop
faulty checkpoint.write --stop
faulty checkpoint.write=kill --stop

was=$port
checkpoint_and_stop() {
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
	sum=$(sha256sum "$scratch/image")
}
refused() { # WHAT PATTERN OPTIONS...
	local what=$1 pattern=$2
	shift 2
	! "$STASIS" restart "$scratch/image" --detach --pidfile "$scratch/never" "$@" >"$scratch/refused.out" 2>&1 </dev/null || fail "$what: the restart succeeds"
	sed 's/^/    /' "$scratch/refused.out"
	grep -q -- "$pattern" "$scratch/refused.out" || fail "$what: the message does not say '$pattern'"
	[ "$(sha256sum "$scratch/image")" = "$sum" ] || fail "$what: the image has changed"
	[ -z "$(ours | grep -v " hold ")" ] || fail "$what: left behind: $(ours)"
	step "refused: $what"
}
checkpoint_and_stop
for fault in usb.taken usb.claimed usb.submit restart.release; do
	STASIS_FAULT=$fault refused "fault $fault" "$fault"
	[ "$(driver_of "$port")" != usbfs ] || fail "$fault: the interface is still claimed"
done
gadget_unplug stick
refused "not here" "1d6b:5001.*is not here"
refused "the same, with what can be done" "usb-wait"
refused "no such port" "there is no such device" --map "usb:$was=9-9"
refused "nonsense" "which is no device" --map "usb:1d6b:5001=nonsense"
"$STASIS" restart "$scratch/image" --plan >"$scratch/plan.out" 2>&1 && fail "the plan has no obstacle"
grep -q "is not here" "$scratch/plan.out" || fail "the plan does not say so"
before=$(date +%s)
refused "waited in vain" "is not here" --usb-wait 2s
[ $(($(date +%s) - before)) -ge 2 ] || fail "it did not wait"

cp "$scratch/disk" "$scratch/copy"
gadget_disk other 5001 B2 "$scratch/copy"
gadget_plug other 0
refused "another serial number" "only one of the same kind"
refused "another serial number, and how it may be taken" "--map usb:$was=$port"
gadget_disk product 5002 A1 "$scratch/copy"
gadget_plug product 1
refused "another product" "another product" --map "usb:1d6b:5001:A1=$port"
gadget_unplug product
gadget_unplug other

truncate -s 8M "$scratch/ext4" && mke2fs -q -t ext4 "$scratch/ext4" || fail "no file system"
gadget_disk mounted 5001 A1 "$scratch/ext4"
gadget_plug mounted 0
mkdir "$scratch/mnt"
disk_is_there() { disk=$(echo "/sys/bus/usb/devices/$port:1.0"/host*/target*/*/block/*) && [ -b "/dev/${disk##*/}" ]; }
wait_for 60 "the disk" disk_is_there
modprobe ext4
mount "/dev/${disk##*/}" "$scratch/mnt" || fail "it cannot be mounted"
refused "a disk that is mounted" "is mounted at"
umount "$scratch/mnt"
gadget_unplug mounted

gadget_plug stick 1
wait_for 30 "the kernel's own driver" has_driver "$port" usb-storage
"$USB_LOAD" hold 1d6b:5001 >"$scratch/hold.log" &
holder=$!
own $holder
wait_for 30 "the other program" grep -q OPEN "$scratch/hold.log"
refused "in use" "in use by usb-load (pid $holder)"
end_process $holder
cp "$scratch/image" "$scratch/readable" && chmod 644 "$scratch/readable"
chmod 755 "$scratch"
chmod 600 "$(node_of "$port")"
setpriv --reuid=65534 --regid=65534 --clear-groups env STASIS_RUNTIME_DIR=/nonexistent "$STASIS" restart "$scratch/readable" --plan >"$scratch/plan.out" 2>&1
grep -q "udev/rules.d.*1d6b.*5001" "$scratch/plan.out" || { sed 's/^/    /' "$scratch/plan.out"; fail "the plan says nothing of udev"; }
step "forbidden: $(grep -o "/dev/bus/usb[^;]*" "$scratch/plan.out" | head -n 1)"
gadget_unplug stick

# It comes while it is waited for.
(sleep 3; echo "${ports[1]}" >"$gadgets/stick/UDC") &
restart_image "$scratch/image" --usb-wait 60s
wait_for 30 "the stick" is_plugged stick
port=$(port_of stick)
progress DISK 2

# Another one takes its place, as the user says.
checkpoint_and_stop
was=$port
gadget_unplug stick
cp "$scratch/disk" "$scratch/copy"
gadget_plug other 0
restart_image "$scratch/image" --map "usb:$was=1d6b:5001:B2"
progress DISK 2

# Nothing takes its place.
checkpoint_and_stop
was=$port
gadget_unplug other
run_stasis restart "$scratch/image" --detach --map "usb:$was=none" # it may end at once
wait_for 30 "the program to see it unplugged" grep -q "^GONE" "$log"
is_well
step "none: $(tail -n 1 "$log")"
wait_for 30 "its end" nothing_is_left
