#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program with a tap goes on at another tap, at a new one, in another network namespace, without a cable, and back; the switches learn
# of each new place by what is sent in its name. Packets that wait in the tap are lost in the image and kept by the living program.
. "$(dirname "$0")/lib.sh"
net_start
tap_make "$net_host" p7 br1
ip -n "$net_host" link set p7 mtu 1300
tap_make "$net_other" o1 br0
tap_make "$net_host" q0 br0 multi_queue
tap_make "$net_host" q1 br1 multi_queue
nsenter --net="/run/netns/$net_station" "$FRAMES" listen eth0 600 >"$scratch/rarp.log" 2>&1 &
own $!
rarps() { grep -c "^rarp $guest_mac size 60 op 3" "$scratch/rarp.log"; }
has_rarps() { [ "$(rarps)" -ge "$1" ]; }
tap_name() { sed -n 's/^iff:[[:space:]]*//p' /proc/"$pid"/fdinfo/* 2>/dev/null | head -n 1; }
is_learned() { # NETNS TAP: a bridge there has learned the guest behind it
	bridge -n "$1" fdb show | grep -q "^$guest_mac dev $2 "
}

move() { # WORDS NETNS [OPTIONS...]: to another place; `name` is the tap there
	local words=$1 ns=$2 before
	shift 2
	before=$(rarps)
	net_checkpoint "$scratch/1.stasis" --stop
	net_restart "$scratch/1.stasis" "$@"
	name=$(tap_name)
	wait_for 5 "the announcement of the new place" has_rarps $((before + 1))
	is_learned "$ns" "$name" || fail "the bridge has not learned that the guest is behind $name"
	last=$(ask $((last + 1)) 10) || { echo "$last"; exit 1; }
	! grep BAD "$frames_log" || fail "the program noticed"
	[ "$(rarps)" = $((before + 1)) ] || fail "$(rarps) announcements instead of $((before + 1))"
	step "$words: on $name, counter goes on to $last"
}

frames_start : t0 1 vnet=12 sndbuf=200000 offload=7
ip -n "$net_host" link set t0 master br0 mtu 1400 up
forget_addresses
last=$(ask 0 10) || { echo "$last"; exit 1; }
move "another tap on another bridge" "$net_host" --map tap:t0=p7
[ "$(link_mtu "$net_host" p7)" = 1400 ] || fail "p7 has not got the MTU"
move "a new tap with a name that was free" "$net_host" --map tap:p7=new:br0
is_on "$net_host" "$name" br0 && [ "$(link_mtu "$net_host" "$name")" = 1400 ] || fail "the new tap is not on br0, or has another MTU"
new=$name
move "a tap in another network namespace" "$net_other" --map "tap:$name=netns:$net_other/o1"
! ip -n "$net_host" link show dev "$new" 2>/dev/null || fail "$new is left"
move "the same again, which goes without saying" "$net_other"
move "a new tap there, by a path" "$net_other" --map "tap:o1=netns:/run/netns/$net_other/new:br0:zz"
[ "$name" = zz ] && is_on "$net_other" zz br0 || fail "zz is not there"
move "back at home" "$net_host" --map tap:zz=p7

net_checkpoint "$scratch/1.stasis" --stop
net_restart "$scratch/1.stasis" --map tap:p7=none
sleep 0.3
! timeout 3 nsenter --net="/run/netns/$net_station" "$FRAMES" ask eth0 "$guest_mac" 0 1 >/dev/null 2>&1 || fail "an unplugged tap answers"
is_gone "$pid" && fail "without a cable the program has ended"
[ "$(tap_name)" = p7 ] || fail "the unplugged tap is called $(tap_name)"
net_checkpoint "$scratch/2.stasis" --stop
net_restart "$scratch/2.stasis"
is_gone "$pid" && fail "the second time without a cable the program has ended"
step "without a cable, twice"
net_checkpoint "$scratch/2.stasis" --stop
net_restart "$scratch/2.stasis" --map tap:p7=new:br1
forget_addresses
last=$(ask $((last + 1)) 10) || { echo "$last"; exit 1; }
step "plugged in again: counter goes on to $last"

# Packets that wait.
kill -STOP "$pid"
in_station "$FRAMES" flood eth0 "$guest_mac" 10
sleep 0.2
net_checkpoint "$scratch/1.stasis"
kill -CONT "$pid"
living() { [ "$(tail -n 1 "$frames_log" | sed 's/.* counter \([0-9]*\) .*/\1/')" = $((last + 10)) ]; }
wait_for 5 "the living program to answer what was waiting" living
end_process "$pid"
net_restart "$scratch/1.stasis"
kill -CONT "$pid"
last=$(ask $((last + 1)) 10) || { echo "$last"; exit 1; }
step "what was waiting is answered by the living program and lost in the image"
end_process "$pid"

# Several queues.
frames_start : q0 3 vnet=10
forget_addresses
last=$(ask 0 10) || { echo "$last"; exit 1; }
move "three queues to another tap" "$net_host" --map tap:q0=q1
move "three queues to a new one" "$net_host" --map tap:q1=new:br0
end_process "$pid"
