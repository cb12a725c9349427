#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A serial line that is read by whole transfers, which nothing interrupts: a checkpoint waits for their end, and no more than --timeout says; the program
# sees each last as long as it shall. The line keeps its speed while the device stays plugged in; another device does not know it.
. "$(dirname "$0")/usb-lib.sh"
usb_begin usb_f_acm
for g in line other; do
	gadget_make $g 5005 L1
	mkdir "$gadgets/$g/functions/acm.$g" || fail "no functions"
	ln -s "$gadgets/$g/functions/acm.$g" "$gadgets/$g/configs/c.1/"
done
gadget_plug line 0
usb_load serial 1d6b:5005 1500
progress WAITED 1
for ((i = 0; i < 3; i++)); do
	take_checkpoint "$pid" "$scratch/image" --force
done
progress WAITED 2
for ((i = 0; i < 2; i++)); do
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
	restart_image "$scratch/image"
	progress WAITED 2
done
! grep "^OTHER" "$log" || fail "the speed is not kept"
take_checkpoint "$pid" "$scratch/image" --force --stop
wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
gadget_unplug line
gadget_plug other 1
restart_image "$scratch/image"
progress OTHER-SPEED 2
end_process "$pid"

usb_load serial 1d6b:5005 40000
wait_for 30 "the program to begin" grep -q ^OPEN "$log"
sleep 2
! "$STASIS" checkpoint "$pid" -o "$scratch/late" --timeout 3s >"$scratch/late.out" 2>&1 </dev/null || fail "nothing was waited for"
sed 's/^/    /' "$scratch/late.out"
grep -q "thread $pid" "$scratch/late.out" || fail "the message does not name the thread"
[ ! -e "$scratch/late" ] || fail "there is an image"
progress WAITED 1
end_process "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
