#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest with two CPUs, a mounted qcow2 disk, QMP, serial and VNC servers goes through checkpoint, kill and restart, twice,
# and once more from the first image: nothing is noticed inside, and the disk is always that of the instant.
. "$(dirname "$0")/lib.sh"
guest_files
guest_disk
image1=$scratch/first.stasis image2=$scratch/second.stasis

vnc_port() { qmp_ask query-vnc | jq -r '.return.service'; }
vnc_greets() {
	local hello
	{ exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null && read -r -t 10 hello <&3
	exec 3<&- 3>&-
	[ "${hello:-}" = "RFB 003.008" ]
}
expect_disk() { # ID EXPECTED
	local got
	got=$(guest_md5 "$1") || { echo "$got"; exit 1; }
	[ "$got" = "$2" ] || fail "the guest's disk holds:"$'\n'"$got"$'\n'"instead of:"$'\n'"$2"
	step "disk $1: $(wc -l <<<"$got") files as expected"
}
after_restart() {
	guest_answers
	vnc_greets "$port" || fail "VNC does not greet a new client"
	same_guest "$nonce"
}

launcher=("$STASIS" run --name e2e-guest --)
guest_start "fill=32 churn=4" 192 -drive "if=virtio,file=$scratch/disk.qcow2,format=qcow2" -vnc 127.0.0.1:0,to=99
wait_ticks 20
port=$(vnc_port)
vnc_greets "$port" || fail "no VNC server at port $port"
nonce=$(ticks) || { echo "$nonce"; exit 1; }
nonce=${nonce%% *}
disk1=$(guest_md5 before) || { echo "$disk1"; exit 1; }
run_stasis check e2e-guest
"$STASIS" ps | grep -q e2e-guest || fail "stasis ps does not list e2e-guest"

# Clients that are connected at the instant of the checkpoint: the original keeps them, a restart has them hung up.
mkfifo "$scratch/qmp-words"
exec 8<>"$scratch/qmp-words"
socat - "UNIX-CONNECT:$qmp" <&8 >"$scratch/qmp-client.log" 2>&1 &
qmp_client=$!
own $qmp_client
socat -u "UNIX-CONNECT:$serial" - >"$scratch/serial-client.log" 2>&1 &
serial_client=$!
own $serial_client
wait_for 10 "the QMP greeting" grep -q QMP "$scratch/qmp-client.log"
wait_for 10 "ticks at the serial port" grep -q TICK "$scratch/serial-client.log"

take_checkpoint e2e-guest "$image1"
run_stasis verify "$image1"
printf '{"execute":"qmp_capabilities"}\n{"execute":"query-status"}\n' >&8
wait_for 10 "QMP to answer its old client" grep -q '"running": true' "$scratch/qmp-client.log"
: >"$scratch/serial-client.log"
wait_for 10 "ticks for the old client" grep -q TICK "$scratch/serial-client.log"
end_process $qmp_client
end_process $serial_client
exec 8>&-
guest_ask "write later" "^WROTE later"
same_guest "$nonce" # the original ran on
end_process "$pid"

restart_image "$image1"
after_restart
expect_disk restarted "$disk1"
guest_ask "write second" "^WROTE second"
disk2=$(guest_md5 second) || { echo "$disk2"; exit 1; }
take_checkpoint "$pid" "$image2" --stop
wait_for 10 "the stopped target to be gone" is_gone "$pid"

restart_image "$image2"
after_restart
expect_disk second-generation "$disk2"
guest_ask "write third" "^WROTE third"
end_process "$pid"

restart_image "$image1"
after_restart
expect_disk reverted-to-first "$disk1"
end_process "$pid"

# The disk that the second image knew has meanwhile been replaced by the first one's: that is somebody else's until told otherwise.
if "$STASIS" restart "$image2" --detach --pidfile "$scratch/never" >"$scratch/stasis.out" 2>&1 </dev/null; then
	fail "restart takes a disk that is not the recorded one without asking"
fi
grep -q "disk.qcow2 .*--disk=revert" "$scratch/stasis.out" || fail "the refusal does not name the disk and the remedy"
restart_image "$image2" --disk=revert
after_restart
expect_disk reverted-to-second "$disk2"
guest_ask quit "^BYE"
wait_for 30 "QEMU to end" is_gone "$pid"
ticks >/dev/null
qemu-img check -q "$scratch/disk.qcow2" || fail "qemu-img check: $(qemu-img check "$scratch/disk.qcow2" 2>&1)"
qemu-img convert -O raw "$scratch/disk.qcow2" "$scratch/disk.raw"
e2fsck -fn "$scratch/disk.raw" >"$scratch/e2fsck.out" 2>&1 || fail "e2fsck"
step "guest shut down, qcow2 and ext4 are clean"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
