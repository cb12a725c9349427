#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest is restarted lazily, twice: with compressed pages, loaded only when touched, and with raw ones, loaded in the
# background. Its disk is read into memory that is not loaded yet: by the kernel, on QEMU's behalf. Nothing is noticed inside.
. "$(dirname "$0")/lib.sh"
guest_files
[ "$(id -u)" = 0 ] || [ -w /dev/userfaultfd ] || skip "this user may have no userfaultfd that serves the kernel"
guest_disk
image1=$scratch/first.stasis image2=$scratch/second.stasis

servers() { # of the target: their pids
	local p
	for p in /proc/[0-9]*; do
		case $(cat "$p/comm" 2>/dev/null) in
		stasis-pages | stasis-spare) grep -qs "^Pid:[[:space:]]*$pid$" "$p"/fdinfo/* && echo "${p#/proc/}" ;;
		esac
	done
}
no_servers() { [ -z "$(servers)" ]; }
is_watched() { grep -q '^VmFlags:.* um' "/proc/$pid/smaps"; }
expect_disk() { # ID
	local got
	got=$(guest_md5 "$1") || { echo "$got"; exit 1; }
	[ "$got" = "$disk" ] || fail "the guest's disk holds:"$'\n'"$got"$'\n'"instead of:"$'\n'"$disk"
}

guest_start "fill=64 churn=4" 192 -drive "if=virtio,file=$scratch/disk.qcow2,format=qcow2"
wait_ticks 10
nonce=$(ticks) || { echo "$nonce"; exit 1; }
nonce=${nonce%% *}
disk=$(guest_md5 before) || { echo "$disk"; exit 1; }
take_checkpoint "$pid" "$image1" --stop

STASIS_FAULT=lazy.idle restart_image "$image1" --lazy=on
[ "$(servers | wc -l)" = 2 ] || fail "page servers: $(servers)"
is_watched || fail "no memory is watched"
expect_disk on-touch
guest_answers
same_guest "$nonce"
is_watched || fail "all memory was loaded although nobody asked for it"

# An image that is replaced meanwhile is not the one that is being read.
take_checkpoint "$pid" "$image1" --force --compress=none
no_servers || fail "page servers after the checkpoint: $(servers)"
is_watched && fail "memory is watched after the checkpoint"
end_process "$pid"

restart_image "$image1" --lazy=on
expect_disk in-background
guest_answers
wait_for 30 "the page servers to end" no_servers
is_watched && fail "memory is watched without a server"
same_guest "$nonce"
take_checkpoint "$pid" "$image2" --stop

restart_image "$image2" # auto
mv "$image2" "$scratch/elsewhere.stasis"
expect_disk auto
guest_answers
same_guest "$nonce"
guest_ask quit "^BYE"
wait_for 30 "QEMU to end" is_gone "$pid"
qemu-img check -q "$scratch/disk.qcow2" || fail "qemu-img check"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
