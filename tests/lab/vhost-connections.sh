#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest on KVM with a two-queue network device whose back end is vhost-net has many TCP connections, with checksums, in both directions,
# to a server on the host. In each generation it is checkpointed while it runs on, then with --stop, and restarted. Every connection goes
# on, no byte is wrong, and no queue is dead.
# usage: vhost-connections [GENERATIONS] [CONNECTIONS] [BLOCKS_PER_SECOND]
. "$(dirname "$0")/vhost-lib.sh"
generations=${1:-2}
vhost_begin "${2:-16}" "${3:-40}"
run_stasis check "$pid"
grep "vhost" "$scratch/stasis.out" | sed 's/^/    /'
for ((i = 1; i <= generations; i++)); do
	take_checkpoint "$pid" "$scratch/image" # it runs on, and has not noticed
	all_progress
	take_checkpoint "$pid" "$scratch/image" --force --stop
	wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"
	restart_image "$scratch/image"
	all_progress
	rm -f "$scratch/image"
	step "generation $i of $generations"
done
[ "$(qmp_status)" = running ] || fail "QMP does not say that the guest is running"
same_guest "$nonce"
end_process "$pid"
