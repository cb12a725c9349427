#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Both ways to write the image of a guest that goes on: from a copy-on-write picture, and while it stands still; the second also where there is no
# room for the first, which is said. Each image restarts. Who asks for the first and cannot have it is told so, and the guest runs on.
. "$(dirname "$0")/lib.sh"
guest_files
guest_start "fill=16" 128
nonce=$(ticks) && nonce=${nonce%% *}
image=$scratch/image.stasis

restarts() {
	wait_ticks 5
	same_guest "$nonce"
	end_process "$pid"
	restart_image "$image"
	guest_answers
	same_guest "$nonce"
}
take_checkpoint "$pid" "$image" --snapshot=fork
restarts
take_checkpoint "$pid" "$image" --force --snapshot=stop
restarts
export STASIS_FAULT=snapshot.fork=12
take_checkpoint "$pid" "$image" --force
grep -q "warning.*stands still" "$scratch/stasis.out" || fail "no word of the other way"
! "$STASIS" checkpoint "$pid" -o "$image" --force --snapshot=fork >"$scratch/refused.out" 2>&1 || fail "--snapshot=fork succeeds without room for it"
grep -q "use --snapshot=stop" "$scratch/refused.out" || fail "no remedy is named"
unset STASIS_FAULT
restarts
! "$STASIS" checkpoint "$pid" -o "$image" --force --snapshot=maybe >"$scratch/refused.out" 2>&1 || fail "a word that is none is taken"
end_process "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
