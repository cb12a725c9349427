#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Devices that a program did not open by a tap's name: a descriptor handed over by somebody else (as libvirt does), and macvtaps.
. "$(dirname "$0")/lib.sh"
net_start

start() { # ARGUMENTS of frames: in the host namespace, sets `pid`
	rm -f "$frames_log"
	nsenter --net="/run/netns/$net_host" "$FRAMES" "$@" >"$scratch/frames.out" 2>&1 </dev/null &
	pid=$!
	own "$pid"
	wait_for 10 "the program to be ready" grep -qs "^ready\|^BAD" "$frames_log"
	! grep "^BAD" "$frames_log" || fail "the program could not start"
}

tap_make "$net_host" g0 br0
start give "$frames_log" g0
generations "a descriptor that was handed over"
end_process "$pid"

# A macvtap has its guest's address; a bridge is on the other side of its interface.
macvtap_make() { # NAME INTERFACE ADDRESS
	ip -n "$net_host" link add link "$2" name "$1" address "$3" type macvtap mode bridge 2>/dev/null || return
	ip -n "$net_host" link set "$1" up
	node=/dev/tap$(ip -n "$net_host" -o link show dev "$1" | sed 's/:.*//')
}
ip link add m0 netns "$net_host" type veth peer name m0b netns "$net_host"
ip link add m1 netns "$net_host" type veth peer name m1b netns "$net_host"
ip -n "$net_host" link set m0 up
ip -n "$net_host" link set m1 up
ip -n "$net_host" link set m0b master br0 up
ip -n "$net_host" link set m1b master br1 up
if ! macvtap_make v0 m0 "$guest_mac"; then
	step "no macvtap in this kernel: not tested"
	exit 0
fi
[ -c "$node" ] || { step "no device node of a macvtap in another network namespace here: not tested"; exit 0; }
start macvtap "$frames_log" "$node"
generations "a macvtap"
# Two of one address on one Ethernet would both answer.
net_checkpoint "$scratch/1.stasis" --stop
ip -n "$net_host" link del v0
in_host "$STASIS" restart --plan "$scratch/1.stasis" >"$scratch/plan.out" 2>&1 && fail "a macvtap that is gone is not missed"
grep -q "there is no tap v0" "$scratch/plan.out" && grep -q "type macvtap" "$scratch/plan.out" || fail "the plan does not say what to do"
macvtap_make v1 m1 02:00:00:00:00:99 || fail "no second macvtap"
net_restart "$scratch/1.stasis" --map tap:v0=v1
last=$(ask $((last + 1)) 10) || { echo "$last"; exit 1; }
step "another macvtap, which gets the guest's address: counter goes on to $last"
net_checkpoint "$scratch/1.stasis" --stop
ip -n "$net_host" link del v1
net_restart "$scratch/1.stasis" --map tap:v1=new:br0
last=$(ask $((last + 1)) 10) || { echo "$last"; exit 1; }
step "from a macvtap to a tap: counter goes on to $last"
end_process "$pid"
