#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program with a tap is frozen, killed and goes on at the same tap, two generations: one that goes with it, one that stays, several
# queues. The program checks flags, sizes and filters from within; all else is compared in the records of both generations.
. "$(dirname "$0")/lib.sh"
net_start

frames_start : t0 1
ip -n "$net_host" link set t0 master br0 mtu 1400 address 02:00:00:00:00:77 up
ip -n "$net_host" addr add 192.0.2.1/24 dev t0
generations "a tap that goes with it"
[ "$(link_mtu "$net_host" t0)" = 1400 ] && is_on "$net_host" t0 br0 || fail "t0 is not what it was"
ip -n "$net_host" -o addr show dev t0 | grep -q "inet 192.0.2.1/24" || fail "the host has lost its address on t0"
ip -n "$net_host" -o link show dev t0 | grep -q 02:00:00:00:00:77 || fail "t0 has another address"
end_process "$pid"
! ip -n "$net_host" link show dev t0 2>/dev/null || fail "t0 has outlived its program"

tap_make "$net_host" p0 br0
frames_start : p0 1 vnet=12 sndbuf=100000 offload=f txfilter
ip -n "$net_host" link set p0 mtu 1480
generations "a persistent tap, vnet headers, offloads; without the recorder"
end_process "$pid"

frames_start "$STASIS" run -- : p0 1 pi filter txfilter
generations "the same with packet information and a filter; with the recorder" filtered
end_process "$pid"

tap_make "$net_host" p1 br0 multi_queue
frames_start : p1 3 vnet=20 detached idle
generations "three queues, one of them detached, and a descriptor without an interface"
end_process "$pid"
frames_start "$STASIS" run -- : t1 4 vnet=10 offload=1 filter
ip -n "$net_host" link set t1 master br1 up
generations "four queues of a tap that goes with it, and a filter" filtered
end_process "$pid"

# What needs no traffic: a tun device with packet information, and one whose carrier was switched off.
quiet() { # WORDS, ARGUMENTS of frames_start after its LOG
	local words=$1
	shift
	frames_start : "$@"
	net_checkpoint "$scratch/1.stasis" --stop
	net_restart "$scratch/1.stasis"
	net_checkpoint "$scratch/2.stasis"
	tap_records "$scratch/1.stasis" 1
	tap_records "$scratch/2.stasis" 2
	diff -u "$scratch/records.1" "$scratch/records.2" >"$scratch/records.out" || fail "the records differ"
	end_process "$pid"
	step "$words"
}
quiet "a tun device" n0 1 tun pi sndbuf=70000
quiet "a tun device with several queues and no packet information" n1 2 tun nopi vnet=12 offload=3
quiet "a tap without a carrier" n2 1 nocarrier
jq -e 'any(.carrier_off == true)' "$scratch/records.2" >/dev/null || fail "the carrier was not off"
