#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Where the kernel has soft-dirty bits, and no userfaultfd that notes writes (or is not asked for it), chains of incremental images are made
# by these: every way in which memory changes is seen, page tables that move as a whole included. When somebody else resets the bits, pages are
# compared. usage: soft-dirty-chain.sh RUN-CHAIN PROGRAM...       (of tests/target)
. "$(dirname "$0")/../e2e/lib.sh"
export STASIS_FAULT=track.soft # no userfaultfd
[ $# -ge 2 ] || fail "usage: soft-dirty-chain.sh RUN-CHAIN PROGRAM..."
run_chain=$1
shift

# link NUMBER PARENT CHANGES-BY
link() {
	local options=(--track=on)
	[ -z "$2" ] || options=(--incremental --parent "$scratch/$2.stasis")
	"$STASIS" checkpoint "$pid" -o "$scratch/$1.stasis" --json "${options[@]}" >"$scratch/link.out" 2>"$scratch/stasis.out" </dev/null || fail "link $1"
	[ "$(jq -r .tracking "$scratch/link.out")" = true ] || { [ -z "$2" ] && skip "this kernel has no soft-dirty bits, or shows no page frames"; }
	[ "$(jq -r .changes_by "$scratch/link.out")" = "$3" ] || fail "link $1: by $(jq -r .changes_by "$scratch/link.out"), not by $3"
}
sleep 100000 &
pid=$!
own $pid
link 0 "" null
link 1 0 tracking
echo 4 >"/proc/$pid/clear_refs" || fail "the bits cannot be reset"
link 2 1 comparison
link 3 2 tracking
kill -9 "$(pgrep -x stasis-track)"
link 4 3 comparison
end_process "$pid"
step "somebody else's reset, and a keeper that was killed, are seen"
for program; do
	CHAIN_LINKS=6 CHAIN_SECONDS=700 "$run_chain" "$STASIS" "$program" on >"$scratch/chain.out" 2>&1
	case $? in
	0) step "${program##*/}: $(tail -n 1 "$scratch/chain.out")" ;;
	77) skip "$(tail -n 1 "$scratch/chain.out")" ;;
	*) fail "${program##*/}: $(grep -m 1 FAILED "$scratch/chain.out")" ;;
	esac
done
