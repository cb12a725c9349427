#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest whose memory is a memory file (memory-backend-memfd, share=on), two generations. Where the kernel can tell who writes to it, it is
# copied ahead of the pause, in the restarted guest as well.
. "$(dirname "$0")/lib.sh"
guest_files
guest_start "fill=32" 128 -object memory-backend-memfd,id=ram,size=128M,share=on -machine memory-backend=ram
nonce=$(ticks) && nonce=${nonce%% *}
export STASIS_DEBUG=1
for generation in first second; do
	image=$scratch/$generation.stasis
	wait_ticks 5
	"$STASIS" checkpoint "$pid" -o "$image" >"$scratch/checkpoint.out" 2>&1 </dev/null || { cat "$scratch/checkpoint.out" >&2; fail "checkpoint"; }
	# "Permission denied", "Operation not permitted": no perf events here
	if [ "$(id -u)" = 0 ] && ! grep -q "cannot be watched\|ermi" "$scratch/checkpoint.out"; then
		grep -q "shared memory: .*last .* KiB" "$scratch/checkpoint.out" || { cat "$scratch/checkpoint.out" >&2; fail "it was not copied ahead"; }
	fi
	step "$generation: $(grep -o "last .*" "$scratch/checkpoint.out" || echo "copied in the pause")"
	wait_ticks 5
	same_guest "$nonce"
	end_process "$pid"
	restart_image "$image"
	guest_answers
	same_guest "$nonce"
done
end_process "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
