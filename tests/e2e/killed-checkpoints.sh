#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 of `stasis checkpoint` at random moments: the guest, started long ago without stasis, never stops or crashes, no image
# appears, nothing of ours stays in it or behind, and the next checkpoint works.
# usage: killed-checkpoints.sh COUNT
. "$(dirname "$0")/lib.sh"
count=$1
guest_files
guest_disk
images=$scratch/images
mkdir "$images"

# What must be the same before and after: descriptors, named and executable mappings, children, tracer and state of every thread.
descriptors() { (cd "/proc/$pid/fd" && for f in *; do echo "$f $(readlink "$f")"; done) | sort; }
mappings() { awk '$6 != "" || $2 ~ /x/ { print $2, $6 }' "/proc/$pid/maps" | sort | uniq -c; }
tiny_mappings() { # anonymous, of at most four pages: where a left-over page of ours would show
	local line range
	while read -r range line; do
		[ $((0x${range#*-} - 0x${range%-*})) -le 16384 ] && [[ $line == [r-][w-]??\ * && $line != *[/[]* && $line != ---p* ]] && echo "$range $line"
	done <"/proc/$pid/maps"
}
children() { cat /proc/"$pid"/task/*/children; }
threads_free() { # nobody traces a thread, none is stopped; true for the moment of the look
	! grep -hE '^(TracerPid:[[:space:]]*[1-9]|State:[[:space:]]*[tT])' /proc/"$pid"/task/*/status 2>/dev/null
}
traced() {
	local key value
	while read -r key value; do
		[ "$key" != TracerPid: ] || { [ "$value" != 0 ]; return; }
	done <"/proc/$pid/status"
	return 1
}
only_qemu() { [ "$(ours | grep -cv '^'"$pid"' ')" = 0 ]; }
nothing_left() {
	threads_free >/dev/null && [ -z "$(children)" ] && only_qemu && [ -z "$(ls -A "$images")" ] &&
		[ "$(descriptors)" = "$descriptors" ] && [ "$(mappings)" = "$mappings" ]
}
what_is_left() {
	threads_free
	echo "children: $(children)"
	ours
	ls -lA "$images"
	diff <(echo "$descriptors") <(descriptors)
	diff <(echo "$mappings") <(mappings)
}

guest_start "fill=64 churn=4" 192 -drive "if=virtio,file=$scratch/disk.qcow2,format=qcow2"
wait_ticks 20
nonce=$(ticks) || { echo "$nonce"; exit 1; }
nonce=${nonce%% *}
# One undisturbed checkpoint tells how long one takes.
begin=$(date +%s%N)
take_checkpoint "$pid" "$images/whole"
whole=$(elapsed_ms "$begin") pause=20000 # ms, us
rm "$images/whole"
descriptors=$(descriptors) mappings=$(mappings) tiny=$(tiny_mappings)
[ -z "$(children)" ] || fail "QEMU has children: $(children)"

finished=0 in_hand=0
for ((i = 1; i <= count; i++)); do
	before=$(last_tick 0)
	"$STASIS" checkpoint "$pid" -o "$images/killed" >"$scratch/killed.out" 2>&1 </dev/null &
	controller=$!
	# Half of them anywhere in the whole run, half while it has the guest in hand: a few per cent of the time, the worst moment.
	begin=${EPOCHREALTIME/./}
	if [ $((i % 2)) = 0 ]; then
		delay=$((RANDOM * whole / 32768))
		sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
	else
		until traced || ! kill -0 "$controller" 2>/dev/null; do :; done
		until=$((${EPOCHREALTIME/./} + RANDOM * pause / 32768))
		while [ "${EPOCHREALTIME/./}" -lt $until ]; do :; done
	fi
	! traced || in_hand=$((in_hand + 1))
	delay=$(((${EPOCHREALTIME/./} - begin) / 1000))
	kill -9 "$controller" 2>/dev/null
	wait "$controller" 2>/dev/null
	done=$?
	if [ $done = 0 ] || [ -e "$images/killed" ]; then # it was faster than we were; an image that has its name is whole
		finished=$((finished + 1))
		"$STASIS" verify "$images/killed" >"$scratch/verify.out" 2>&1 || fail "attempt $i, status $done: the image is not whole"
		rm "$images/killed"
	fi
	is_gone "$pid" && fail "attempt $i, killed after $delay ms: the guest's QEMU is gone"
	end=$(($(date +%s%N) + 10000000000))
	until nothing_left; do
		[ "$(date +%s%N)" -lt "$end" ] || fail "attempt $i, killed after $delay ms, leaves behind: $(what_is_left)"
		sleep 0.05
	done
	wait_for 10 "ticks after attempt $i, killed after $delay ms" ticks_beyond $((before + 2)) 0
	[ $((i % 20)) = 0 ] && same_guest "$nonce"
done
left=$(diff <(echo "$tiny") <(tiny_mappings) | grep '^>')
[ -z "$left" ] || fail "small mappings that were not there before: $left"
step "$count checkpoints killed within $whole ms, $in_hand while they had the guest in hand, $finished when they were done already"

take_checkpoint "$pid" "$images/next"
same_guest "$nonce"
end_process "$pid"
restart_image "$images/next"
guest_answers
same_guest "$nonce"
end_process "$pid"
