#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What stands in the way of a checkpoint (no recorder, a claimed port of a hub) and of a restart (two devices that shall be one, a device that is taken or
# unplugged while the restart is under way) is said, and nothing is left. A device that was unplugged before the checkpoint stays so.
. "$(dirname "$0")/usb-lib.sh"
usb_begin usb_f_acm
for g in one two; do
	gadget_make $g 5006 ""
	mkdir "$gadgets/$g/functions/acm.$g" || fail "no functions"
	ln -s "$gadgets/$g/functions/acm.$g" "$gadgets/$g/configs/c.1/"
done
gadget_plug one 0
first=$port
gadget_plug two 1
second=$port

refused() { # WHAT PATTERN COMMAND...
	local what=$1 pattern=$2
	shift 2
	! "$STASIS" "$@" >"$scratch/refused.out" 2>&1 </dev/null || fail "$what: it succeeds"
	sed 's/^/    /' "$scratch/refused.out"
	grep -q -- "$pattern" "$scratch/refused.out" || fail "$what: the message does not say '$pattern'"
	step "refused: $what"
}
hold() { # OPTIONS...: as usb_load, without the recorder
	log=$scratch/hold.log
	"$USB_LOAD" hold "$@" >"$log" 2>&1 </dev/null &
	pid=$!
	own "$pid"
}
hold "$first"
progress THERE 1
for command in "check $pid" "checkpoint $pid -o $scratch/image"; do
	# shellcheck disable=SC2086 # words
	refused "no recorder: ${command%% *}" "runs without the recorder" $command
done
[ ! -e "$scratch/image" ] || fail "there is an image"
progress THERE 2
end_process "$pid"
usb_load hub usb1
wait_for 30 "the program to begin" grep -q ^OPEN "$log"
for command in "check $pid" "checkpoint $pid -o $scratch/image"; do
	# shellcheck disable=SC2086 # words
	refused "a port of a hub: ${command%% *}" "USBDEVFS_CLAIM_PORT.*was used: a port of a hub was claimed" $command
done
grep -q "have the program close the device" "$scratch/refused.out" || fail "the message has no remedy"
end_process "$pid"


# A program of 32 bits that opens the device and sleeps.
cat >"$scratch/small.s" <<'END'
	.globl _start
_start:	mov $5, %eax		# open
	mov 8(%esp), %ebx	# the first argument
	mov $2, %ecx		# O_RDWR
	int $0x80
	test %eax, %eax
	js over
again:	mov $162, %eax		# nanosleep
	mov $second, %ebx
	xor %ecx, %ecx
	int $0x80
	jmp again
over:	mov $1, %eax		# exit
	int $0x80
	.data
second:	.long 1, 0
END
as --32 "$scratch/small.s" -o "$scratch/small.o" && ld -m elf_i386 "$scratch/small.o" -o "$scratch/small" || fail "no program of 32 bits"
"$STASIS" run -- "$scratch/small" "$(node_of "$first")" >"$scratch/small.log" 2>&1 </dev/null &
pid=$!
own $pid
has_it_open() { readlink /proc/$pid/fd/* | grep -q "^/dev/bus/usb/"; }
wait_for 30 "the program to open the device" has_it_open
for command in "check $pid" "checkpoint $pid -o $scratch/image"; do
	# shellcheck disable=SC2086 # words
	refused "32 bits: ${command%% *}" "runs 32-bit code" $command
done
has_it_open || fail "the program has not gone on"
end_process "$pid"

usb_load hold "$first" "$second"
progress THERE 2
take_checkpoint "$pid" "$scratch/image" --stop
wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
sum=$(sha256sum "$scratch/image")
refused "two shall be one" "and another one shall both be that in port $first" restart "$scratch/image" --map "usb:$second=$first"
rob() { # [FILE]: waits for the restart to open the second device. Sets `robber`
	"$USB_LOAD" rob "$second" "$@" >"$scratch/rob.log" 2>&1 </dev/null &
	robber=$!
	own $robber
	wait_for 30 "the robber to wait" grep -q ^OPEN "$scratch/rob.log"
}
rob
refused "taken meanwhile" "USB device 1d6b:5006 in port $second: an interface cannot be claimed: Device or resource busy; end" restart "$scratch/image"
end_process $robber
rob "$gadgets/two/UDC"
refused "unplugged meanwhile" "USB device 1d6b:5006 in port $second: .*: No such device; it was unplugged meanwhile" restart "$scratch/image"
wait_for 30 "two to be gone" is_unplugged two
[ "$(sha256sum "$scratch/image")" = "$sum" ] || fail "the image has changed"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
gadget_plug two 1
restart_image "$scratch/image"
progress THERE 2

# Unplugged before the checkpoint.
gadget_unplug two
progress AWAY 2
run_stasis check "$pid"
grep -q "its device is unplugged, and stays so" "$scratch/stasis.out" || fail "check does not say so"
for ((i = 0; i < 2; i++)); do
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped program to be gone" is_gone "$pid"
	[ $i = 0 ] || gadget_plug two 1 # it is another one
	restart_image "$scratch/image"
	progress AWAY 2
done
end_process "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
