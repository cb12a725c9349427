#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest that rewrites its memory and verifies it is taken through a chain of 20 incremental images; what has changed is known from
# the kernel's notes. The last image and one in the middle restart right. Where notes are missing or are not those of the parent, pages are compared:
# after the keeper of the notes was killed, after a checkpoint that failed, and with another image for the parent.
. "$(dirname "$0")/lib.sh"
guest_files
links=20
rounds() { grep -c "^SUM ok $1" "$log"; }
verified_again() { [ "$(rounds 0)" -ge $1 ] && [ "$(rounds 1)" -ge $2 ]; }
wait_verified() { wait_for 300 "the guest to verify all of its data $1 times" verified_again $(($(rounds 0) + $1)) $(($(rounds 1) + $1)); }

# link NUMBER PARENT [OPTIONS...]: makes an image; sets `by`.
link() {
	local n=$1 parent=$2 options=()
	shift 2
	[ -z "$parent" ] || options=(--incremental --parent "$scratch/link-$parent.stasis")
	"$STASIS" checkpoint "$pid" -o "$scratch/link-$n.stasis" --json "${options[@]}" "$@" >"$scratch/link.out" 2>&1 </dev/null || fail "link $n"
	sed -i '0,/^{/ { /^{/! d }' "$scratch/link.out" # warnings
	by=$(jq -r .changes_by "$scratch/link.out")
	step "link $n: $(stat -c %s "$scratch/link-$n.stasis") bytes, $(jq -r .total_us "$scratch/link.out") us, by $by"
}
expect() { [ "$by" = "$1" ] || fail "what has changed is known by $by, not by $1"; }
keeper() { # PID: prints the process that holds the notes on it
	local p
	for p in $(pgrep -x stasis-track); do
		! grep -qs "^Pid:[[:space:]]*$1\$" "/proc/$p/fdinfo"/* || echo "$p"
	done
}
is_watched() { grep -q '^VmFlags:.* uw' "/proc/$1/smaps"; }
is_not_watched() { ! is_watched "$1"; }

guest_start "fill=32 churn=2" 128
wait_for 300 "the guest to fill its memory" verified_again 1 1
nonce=$(ticks) && nonce=${nonce%% *}
before=$(ls -l "/proc/$pid/fd" | wc -l)
link 0 "" --track=on
[ "$(jq -r .tracking "$scratch/link.out")" = true ] || skip "the kernel does not note what is written to"
for ((i = 1; i < links; i++)); do
	link $i $((i - 1))
	expect tracking
	sleep 0.2
	[ $i != $((links / 2)) ] || wait_verified 1
done
sum=0
for ((i = 1; i < links; i++)); do sum=$((sum + $(stat -c %s "$scratch/link-$i.stasis"))); done
step "whole: $(stat -c %s "$scratch/link-0.stasis") bytes, incremental: $((sum / (links - 1))) on average"
[ $((sum / (links - 1))) -lt $(($(stat -c %s "$scratch/link-0.stasis") / 2)) ] || fail "incremental images are large"
[ "$(ls -l "/proc/$pid/fd" | wc -l)" = "$before" ] || fail "the guest has other descriptors than before"
same_guest "$nonce"

# What the notes are not good for. Each time the next one knows again.
[ "$(keeper "$pid" | wc -l)" = 1 ] && is_watched "$pid" || fail "no keeper, or none whose work shows: $(keeper "$pid")"
"$STASIS" check "$pid" >"$scratch/check.out" 2>&1 || fail "it cannot be checkpointed while it is watched"
kill -9 "$(keeper "$pid")"
wait_for 20 "the watch to end" is_not_watched "$pid"
link killed $((links - 1)) && expect comparison
link other 3 && expect comparison
link again other && expect tracking
! STASIS_FAULT=checkpoint.write "$STASIS" checkpoint "$pid" -o "$scratch/failed.stasis" --incremental --parent "$scratch/link-again.stasis" >"$scratch/failed.out" 2>&1 ||
	fail "a checkpoint succeeds although a fault is armed"
[ -z "$(keeper "$pid")" ] && is_not_watched "$pid" || fail "the watch goes on after a checkpoint that failed"
link failed again && expect comparison
STASIS_FAULT=track.keep link unkept failed
[ "$(jq -r .tracking "$scratch/link.out")" = false ] || fail "a keeper that cannot begin is said to be there"
expect tracking
[ -z "$(keeper "$pid")" ] && is_not_watched "$pid" || fail "the watch goes on without a keeper"
link plain failed --track=off && expect comparison
link marked plain && expect comparison
link untracked marked --track=off && expect comparison
[ -n "$(keeper "$pid")" ] || fail "a checkpoint that does without ends the notes"
link kept marked && expect tracking
wait_verified 1
same_guest "$nonce"
kept=$(keeper "$pid")
end_process "$pid"
wait_for 20 "the keeper to end with the guest" is_gone "$kept"

for i in $((links - 1)) $((links / 2)) kept; do
	run_stasis verify "$scratch/link-$i.stasis"
	restart_image "$scratch/link-$i.stasis" --disk=revert # the console's log is of that instant again
	wait_verified 2 # the round that the checkpoint cut through, and a whole one
	same_guest "$nonce"
	[ "$i" = kept ] || end_process "$pid"
done
# A restarted guest is like any other.
link 100 kept && expect comparison
link 101 100 && expect tracking
end_process "$pid"
run_stasis fold "$scratch/link-101.stasis" -o "$scratch/folded.stasis"
restart_image "$scratch/folded.stasis" --disk=revert
wait_verified 2
same_guest "$nonce"
end_process "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
