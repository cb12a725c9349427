#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program with requests to an interrupt endpoint in flight all the time, as one with a keyboard has. Every report comes once and in order: over
# checkpoints that the program survives, while reports come; over ones with --stop; and over those that fail half way. In the other port
# it goes on with what comes from then on; without a device it sees it unplugged, and stays so over another checkpoint.
. "$(dirname "$0")/usb-lib.sh"
usb_begin usb_f_hid
gadget_reports keys 5003 K1
gadget_plug keys 0
wait_for 30 "the node" test -c /dev/hidg0
usb_load reports 1d6b:5003
wait_for 30 "the program to begin" grep -q ^OPEN "$log"
next=1
feed() { # N INTERVAL_MS: in the background: sets `feeder`
	"$USB_LOAD" feed /dev/hidg0 $next $((next + $1 - 1)) "$2" >"$scratch/feed.log" 2>&1 &
	feeder=$!
	own $feeder
	next=$((next + $1))
}
has_got() { is_well; [ "$(tail -n 1 "$log")" = "REPORT $1" ]; }
has_fed() { is_gone "$feeder"; }
fed() {
	wait_for "$E2E_PATIENCE" "the reports to be taken" has_fed
	wait $feeder || fail "the feeder: $(cat "$scratch/feed.log")"
	wait_for "$E2E_PATIENCE" "report $((next - 1))" has_got $((next - 1))
	step "all have come: $(tail -n 1 "$log")"
}
feed 10 10
fed
feed 1500 10
for ((i = 0; i < 8; i++)); do
	take_checkpoint "$pid" "$scratch/image" --force
done
for fault in usb.cancelled usb.cancelled=kill checkpoint.write=kill; do
	! STASIS_FAULT=$fault "$STASIS" checkpoint "$pid" -o "$scratch/image" --force --stop >"$scratch/stasis.out" 2>&1 </dev/null || fail "$fault: not reached"
done
fed
for ((i = 0; i < 3; i++)); do
	feed 300 10
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
	restart_image "$scratch/image"
	fed
done
# Nothing comes while it is stopped and restarted: the requests are in flight again.
take_checkpoint "$pid" "$scratch/image" --force --stop
wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
gadget_unplug keys
gadget_plug keys 1
wait_for 30 "the node" test -c /dev/hidg0
restart_image "$scratch/image"
feed 20 10
fed
take_checkpoint "$pid" "$scratch/image" --force --stop
wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
restart_image "$scratch/image" --map "usb:$port=none" --stopped
take_checkpoint "$pid" "$scratch/image2" --stop
wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
restart_image "$scratch/image2"
kill -CONT "$pid"
wait_for 30 "the program to see it unplugged" grep -q "^GONE" "$log"
is_well
wait_for 30 "its end" is_gone "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
