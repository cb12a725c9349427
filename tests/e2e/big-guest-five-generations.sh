#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest with 1 GiB of memory, 768 MiB of it random data that it keeps verifying (and partly rewriting), survives five
# generations. Prints image size and times of each.
. "$(dirname "$0")/lib.sh"
guest_files
need=$((4 * 1024 * 1024)) # KiB: two images and the guest's own memory
[ "$(awk '/MemAvailable/ {print $2}' /proc/meminfo)" -ge $((2 * 1024 * 1024)) ] || skip "less than 2 GiB of free memory"
[ "$(df --output=avail -k "$scratch" | tail -n 1)" -ge $need ] || skip "less than 4 GiB of free disk space"

rounds() { grep -c "^SUM ok $1" "$log"; }
verified_again() { [ "$(rounds 0)" -ge $1 ] && [ "$(rounds 1)" -ge $2 ]; }
wait_verified() { wait_for 300 "the guest to verify all of its data $1 times" verified_again $(($(rounds 0) + $1)) $(($(rounds 1) + $1)); }

launcher=("$STASIS" run --name e2e-big --)
guest_start "fill=768 churn=16" 1024
wait_for 300 "the guest to fill its memory" verified_again 1 1
nonce=$(ticks) || { echo "$nonce"; exit 1; }
nonce=${nonce%% *}
for generation in 1 2 3 4 5; do
	image=$scratch/generation-$generation.stasis
	take_checkpoint "$pid" "$image"
	end_process "$pid"
	restart_image "$image"
	rm -f "$scratch/generation-$((generation - 1)).stasis"
	wait_verified 2 # the round that the checkpoint cut through, and a whole one
	guest_answers
	same_guest "$nonce"
	step "generation $generation: $(grep '^SUM ok' "$log" | tail -n 1)"
done
end_process "$pid"
