#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest of another architecture, at its boot loader's prompt, goes through two generations: its console answers, and what was
# put into its memory is still there.
# usage: u-boot-guest.sh arm64|riscv64
. "$(dirname "$0")/lib.sh"

case $1 in
arm64) machine=(qemu-system-aarch64 -M virt -cpu cortex-a57 -bios /usr/lib/u-boot/qemu_arm64/u-boot.bin) ;;
riscv64) machine=(qemu-system-riscv64 -M virt -kernel /usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin) ;;
*) fail "unknown guest $1" ;;
esac
[ -r "${machine[-1]}" ] || skip "no ${machine[-1]}: install u-boot-qemu"
serial=$scratch/serial.sock qmp=$scratch/qmp.sock log=$scratch/console.log
E2E_EOL=$'\r'

"${machine[@]}" -m 128 -nodefaults -display none -qmp "unix:$qmp,server=on,wait=off" -pidfile "$scratch/qemu.pid" \
	-chardev "socket,id=serial,path=$serial,server=on,wait=off,logfile=$log" -serial chardev:serial >"$scratch/qemu.out" 2>&1 </dev/null &
own $!
wait_for 20 "QEMU to start" test -s "$scratch/qemu.pid"
pid=$(cat "$scratch/qemu.pid")
wait_for 60 "U-Boot's countdown" log_has 0 "stop autoboot"
guest_ask "" "=> "
nonce=$RANDOM$RANDOM
guest_ask "setenv nonce $nonce; setenv n 0" "=> "
count=0
answers() { # the prompt's answer comes from a variable and a sum that both live in guest memory
	count=$((count + 1))
	guest_ask 'setexpr n $n + 1; echo nonce=$nonce n=$n' "^nonce=$nonce n=$(printf %x "$count")"
	step "console answers: $(tr -d '\r' <"$log" | grep -a '^nonce=' | tail -n 1)"
}
answers
for generation in 1 2; do
	image=$scratch/generation-$generation.stasis
	take_checkpoint "$pid" "$image"
	end_process "$pid"
	restart_image "$image"
	answers
	[ "$(qmp_ask query-status | jq -r '.return.status')" = running ] || fail "QMP does not say that the guest is running"
done
end_process "$pid"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
