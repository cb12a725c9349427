# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the scenarios of network devices (bash): a small network in namespaces of its own, gone at the end.
#
#	station --- br0 --- br1        in namespace "host"
#	            |        '-------- br0 in namespace "other"     (all joined by veth pairs: one Ethernet)
#
# `station` is a namespace with the interface eth0; it is whoever talks to the guest. Names have the test's process id in them.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
: "${FRAMES:?must name the frames program}"
[ "$(id -u)" = 0 ] || skip "needs root: network namespaces and taps are made"
[ -c /dev/net/tun ] || skip "this kernel has no /dev/net/tun"
net_host=st$$-host net_other=st$$-other net_station=st$$-station
net_names=()
guest_mac=52:54:00:12:34:56

net_cleanup() {
	local n
	e2e_cleanup # ends the processes first
	for n in "${net_names[@]}"; do
		ip netns del "$n"
	done
}
trap net_cleanup EXIT

# In the background use nsenter itself: what is killed would else be the shell that runs the function.
in_host() { nsenter --net="/run/netns/$net_host" "$@"; } # unlike `ip netns exec`, in the same mount namespace
in_other() { nsenter --net="/run/netns/$net_other" "$@"; }
in_station() { nsenter --net="/run/netns/$net_station" "$@"; }

net_make() {
	ip netns add "$1" 2>/dev/null || skip "no network namespaces here"
	net_names+=("$1")
	nsenter --net="/run/netns/$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null
	ip -n "$1" link set lo up
}
net_bridge() { # NETNS BRIDGE
	ip -n "$1" link add "$2" type bridge && ip -n "$1" link set "$2" up || fail "no bridge $2"
}
net_cable() { # NETNS BRIDGE NETNS BRIDGE
	local a=v$((++net_cables))a b=v${net_cables}b
	ip link add "$a" netns "$1" type veth peer name "$b" netns "$3" || fail "no veth"
	ip -n "$1" link set "$a" master "$2" up
	ip -n "$3" link set "$b" master "$4" up
}
net_cables=0
net_start() {
	net_make "$net_host"
	net_make "$net_other"
	net_make "$net_station"
	net_bridge "$net_host" br0
	net_bridge "$net_host" br1
	net_bridge "$net_other" br0
	net_cable "$net_host" br0 "$net_host" br1
	net_cable "$net_host" br1 "$net_other" br0
	ip link add eth0 netns "$net_station" type veth peer name station netns "$net_host" || fail "no veth"
	ip -n "$net_host" link set station master br0 up
	ip -n "$net_station" link set eth0 up
}
tap_make() { # NETNS NAME BRIDGE [multi_queue and others]: a persistent one
	local ns=$1 name=$2 bridge=$3
	shift 3
	ip -n "$ns" tuntap add dev "$name" mode tap "$@" || fail "no tap $name"
	ip -n "$ns" link set "$name" master "$bridge" up
}
is_on() { # NETNS TAP BRIDGE
	ip -n "$1" -o link show dev "$2" 2>/dev/null | grep -q "master $3 "
}
link_mtu() { ip -n "$1" -o link show dev "$2" | sed 's/.* mtu \([0-9]*\) .*/\1/'; } # NETNS NAME

forget_addresses() { # of an earlier program: the switches would send to its place until the new one has said something
	ip -n "$net_host" link set br0 type bridge fdb_flush
	ip -n "$net_host" link set br1 type bridge fdb_flush
	ip -n "$net_other" link set br0 type bridge fdb_flush
}

# ---- the small program ----
frames_log=$scratch/frames.log
frames_start() { # [COMMAND...] : ARGUMENTS of `frames serve` after LOG: starts it in the host namespace, sets `pid`
	local before=()
	while [ "$1" != : ]; do before+=("$1"); shift; done
	shift
	rm -f "$frames_log"
	nsenter --net="/run/netns/$net_host" "${before[@]}" "$FRAMES" serve "$frames_log" "$@" >"$scratch/frames.out" 2>&1 </dev/null &
	pid=$!
	own "$pid"
	wait_for 10 "the program to be ready" grep -qs "^ready\|^BAD" "$frames_log"
	! grep "^BAD" "$frames_log" || fail "the program could not start"
	pid=$(sed -n 's/^ready .* pid //p' "$frames_log") # behind `stasis run`
	own "$pid"
}
ask() { # FIRST COUNT: prints the last counter
	in_station "$FRAMES" ask eth0 "$guest_mac" "$1" "$2" 2>&1 || fail "no answers: $(grep BAD "$frames_log")"
}

# ---- generations ----
net_checkpoint() { # IMAGE [OPTIONS...]
	local image=$1
	shift
	in_host "$STASIS" checkpoint "$pid" -o "$image" --force "$@" >"$scratch/stasis.out" 2>&1 </dev/null || fail "checkpoint $*"
	[[ " $* " != *" --stop "* ]] || wait_for 10 "the stopped target to be gone" is_gone "$pid"
}
net_restart() { # IMAGE [OPTIONS...]: sets `pid`
	local image=$1
	shift
	rm -f "$scratch/restart.pid"
	in_host env ${net_debug:+STASIS_DEBUG=1} "$STASIS" restart "$image" --detach --pidfile "$scratch/restart.pid" "$@" \
		>"$scratch/stasis.out" 2>&1 </dev/null || fail "restart $*"
	pid=$(cat "$scratch/restart.pid")
	own "$pid"
}
tap_records() { # IMAGE: what must be the same in two generations on the same tap
	"$STASIS" show --json "$1" | jq -S '[.. | objects | select(.tag? == "TAPL" or .tag? == "TAPQ") | del(.. | .macs?, .crc?, .offset?)]' >"$scratch/records.$2" || fail "stasis show"
}

# generations WORDS [filtered]: what the counter says before a checkpoint it says after the restart, twice; leaves the third one running.
generations() {
	local kept
	forget_addresses
	last=$(ask 0 20) || { echo "$last"; exit 1; }
	net_checkpoint "$scratch/1.stasis"
	kept=$last
	last=$(ask $((last + 1)) 20) || { echo "$last"; exit 1; } # the target has not noticed
	end_process "$pid"
	net_restart "$scratch/1.stasis"
	last=$(ask $((kept + 1)) 20) || { echo "$last"; exit 1; }
	net_checkpoint "$scratch/2.stasis" --stop
	net_restart "$scratch/2.stasis"
	[ "${2:-}" != filtered ] || in_station "$FRAMES" flood-filtered eth0 "$guest_mac" 20 || fail "flood"
	last=$(ask $((last + 1)) 20) || { echo "$last"; exit 1; }
	! grep BAD "$frames_log" || fail "the program noticed"
	tap_records "$scratch/1.stasis" 1
	tap_records "$scratch/2.stasis" 2
	diff -u "$scratch/records.1" "$scratch/records.2" >"$scratch/records.out" || fail "the records differ"
	step "$1: counter without gap or repeat to $last"
}
