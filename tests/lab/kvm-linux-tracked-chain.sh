#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest on KVM is checkpointed into a chain of incremental images, the kernel telling what has changed, writes of virtual CPUs
# included. Restarted from the last one it finds all of its memory as it should be, and goes on in a second chain.
# usage: kvm-linux-tracked-chain [LINKS]
. "$(dirname "$0")/lib.sh"
links=${1:-4}

# link CHAIN NUMBER
link() {
	local image=$scratch/$1.$2.stasis parent=$scratch/$1.$(($2 - 1)).stasis options=(--track=on) by=null
	[ "$2" = 0 ] || options=(--incremental --parent "$parent") by=tracking
	"$STASIS" checkpoint "$pid" -o "$image" --json "${options[@]}" >"$scratch/link.out" 2>"$scratch/stasis.out" </dev/null || fail "link $2"
	[ "$(jq -r .tracking "$scratch/link.out")" = true ] || skip "the kernel does not note what is written to"
	[ "$(jq -r .changes_by "$scratch/link.out")" = $by ] || fail "link $2: changes by $(jq -r .changes_by "$scratch/link.out"), not by $by"
	step "link $2 of the $1 chain: $(jq -r '"\(.file_bytes) bytes, \(.parent_bytes) as in the parent, pause \(.pause_us) us"' "$scratch/link.out")"
}
# All of the guest's memory area is verified anew, by both CPUs.
memory_is_right() {
	local from cpu
	for round in first second; do # the first may have begun before
		from=$(log_size)
		for cpu in 0 1; do
			wait_for "$E2E_PATIENCE" "the $round 'SUM ok $cpu'" log_has "$from" "^SUM ok $cpu"
		done
	done
}
guest_kvm microvm
launcher=("$STASIS" run --name lab-guest --)
guest_start "fill=8 churn=1" 192
guest_healthy
guest_nonce
for chain in first second; do
	for ((i = 0; i <= links; i++)); do
		wait_ticks 3
		link $chain $i
	done
	end_process "$pid"
	restart_image "$scratch/$chain.$links.stasis"
	guest_goes_on
	memory_is_right
	step "the end of the $chain chain is right"
done
end_process "$pid"
nothing_left
