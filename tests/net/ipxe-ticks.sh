#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: ipxe-ticks.sh GENERATIONS
# QEMU boots iPXE from the ROM of its network card, gets an address and a script, and asks a web server for tick 1, 2, 3 ... for ever.
# It is checkpointed, killed and restarted at the same tap, another, a new one and in another network namespace; the server sees every
# tick once, and no connection is lost.
. "$(dirname "$0")/lib.sh"
: "${TICK_SERVER:?must name the tick server}"
[ -e /usr/lib/ipxe/qemu/efi-virtio.rom ] || [ -e /usr/share/qemu/efi-virtio.rom ] || skip "no iPXE ROM (package ipxe-qemu)"
command -v dnsmasq >/dev/null || skip "no dnsmasq (package dnsmasq-base)"
net_start
ip -n "$net_station" addr add 192.0.2.1/24 dev eth0
tap_make "$net_host" ta br0
tap_make "$net_host" tb br1
tap_make "$net_other" to br0
log=$scratch/ticks.log
cat >"$scratch/boot.ipxe" <<'END'
#!ipxe
set n:int32 0
:loop
inc n
imgfetch http://192.0.2.1/tick?n=${n:int32} || echo tick ${n} failed
imgfree
goto loop
END
nsenter --net="/run/netns/$net_station" "$TICK_SERVER" 192.0.2.1 80 "$log" "$scratch/boot.ipxe" >"$scratch/server.out" 2>&1 &
own $!
nsenter --net="/run/netns/$net_station" dnsmasq --conf-file=/dev/null --no-daemon --port=0 --interface=eth0 --bind-interfaces --no-ping \
	--dhcp-range=192.0.2.10,192.0.2.100,1h --dhcp-boot=http://192.0.2.1/boot.ipxe --dhcp-leasefile="$scratch/leases" \
	--pid-file= --user=root >"$scratch/dnsmasq.out" 2>&1 </dev/null &
own $!

ticks_now() { wc -l <"$log" 2>/dev/null || echo 0; }
ticks_reach() { is_gone "$pid" && fail "QEMU has ended"; [ "$(ticks_now)" -ge "$1" ]; }
ticks_check() { awk '$1 != NR { print "tick " $1 " instead of " NR; exit 1 }' "$log" || fail "a tick is missing or came twice"; }
more_ticks() { # WORDS
	local from t
	t=$(date +%s%N) from=$(ticks_now)
	wait_for 60 "ticks $1" ticks_reach $((from + 1))
	first=$(elapsed_ms "$t")
	wait_for 60 "ticks $1" ticks_reach $((from + 30))
	ticks_check
}
move() { # WORDS [OPTIONS...]
	local words=$1
	shift
	net_checkpoint "$scratch/ipxe.stasis" --stop
	net_restart "$scratch/ipxe.stasis" "$@"
	more_ticks "$words"
	step "$words: $(ticks_now) ticks without gap or repeat; the first $first ms after the restart"
}

nsenter --net="/run/netns/$net_host" qemu-system-x86_64 -nodefaults -display none -accel tcg -m 64 -boot n -serial "file:$scratch/serial.log" \
	-netdev tap,id=n,ifname=ta,script=no,downscript=no -device "virtio-net-pci,netdev=n,mac=$guest_mac" \
	>"$scratch/qemu.out" 2>&1 </dev/null &
pid=$!
own $pid
wait_for 60 "the first tick" ticks_reach 1
more_ticks booted
step "iPXE has booted and ticks"

move "at the same tap"
move "at another tap on another bridge" --map tap:ta=tb
move "at a new tap" --map tap:tb=new:br0:tn
move "at a tap in another network namespace" --map "tap:tn=netns:$net_other/to"
move "back" --map "tap:to=ta"
now=ta
for ((i = 1; i <= $1; i++)); do
	[ $now = ta ] && next=tb || next=ta
	move "generation $i, at $next" --map "tap:$now=$next"
	now=$next
done
# A checkpoint that lets the guest run on is not noticed by it.
net_checkpoint "$scratch/ipxe.stasis"
more_ticks "of the living guest"
step "the living guest: $(ticks_now) ticks"
end_process "$pid"
