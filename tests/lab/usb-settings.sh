#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A device in its second configuration, with an alternate setting, claimed by two descriptors and read by a third: all of it is as it was after restarts in
# the same port and in the other one, by the word of the device. The signal for its unplugging comes after a restart, too.
. "$(dirname "$0")/usb-lib.sh"
usb_begin usb_f_acm usb_f_ecm
gadget_make many 5004 M1
mkdir "$gadgets/many/configs/c.2" "$gadgets/many/functions/acm.many" "$gadgets/many/functions/ecm.many" || fail "no functions"
ln -s "$gadgets/many/functions/acm.many" "$gadgets/many/configs/c.1/"
ln -s "$gadgets/many/functions/ecm.many" "$gadgets/many/configs/c.2/"
at=0
gadget_plug many 0
usb_load settings 1d6b:5004
progress SET 2
for ((i = 0; i < 3; i++)); do
	take_checkpoint "$pid" "$scratch/image" --force
	progress SET 1
done
for ((g = 0; g < 3; g++)); do
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
	if [ $g != 0 ]; then
		gadget_unplug many
		at=$((1 - at))
		gadget_plug many $at
		[ "$(cat "/sys/bus/usb/devices/$port/bConfigurationValue")" = 1 ] || fail "it is not in its first configuration"
	fi
	restart_image "$scratch/image"
	progress SET 2
done
take_checkpoint "$pid" "$scratch/image2" # a program is seen here that has claimed it:
! "$STASIS" restart "$scratch/image2" >"$scratch/refused.out" 2>&1 </dev/null || fail "a second one can have it"
grep -q "in use by usb-load (pid" "$scratch/refused.out" || fail "the message does not say who has it"
gadget_unplug many
wait_for 30 "the signal" grep -q "^UNPLUGGED" "$log"
is_well
wait_for 30 "its end" is_gone "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
