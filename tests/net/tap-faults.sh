#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Whatever a restart with a tap lacks is said at once, with a remedy, and a restart that fails leaves nothing behind.
# An ordinary user may go on with a tap of its own.
[ -n "${NET_OWN_MOUNTS:-}" ] || NET_OWN_MOUNTS=1 exec unshare -m "$BASH" "$0" "$@" # for a /dev/net/tun that users may open
. "$(dirname "$0")/lib.sh"
net_start
mknod "$scratch/tun" c 10 200 && chmod 666 "$scratch/tun" && mount --bind "$scratch/tun" /dev/net/tun || skip "no device node can be made here"
as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs)
chmod 711 "$scratch"
mkdir "$scratch/user"
cp "$FRAMES" "$STASIS" "$scratch/user/" # the user may not be able to look into the directories that root works in
chown -R 65534:65534 "$scratch/user" "$STASIS_RUNTIME_DIR"

refused() { # IMAGE [OPTIONS...] : WORDS...: the plan says no, and every one of the words
	local args=()
	while [ "$1" != : ]; do args+=("$1"); shift; done
	shift
	in_host "${user[@]}" "$STASIS" restart --plan "${args[@]}" >"$scratch/plan.out" 2>&1 </dev/null && fail "--plan sees nothing wrong"
	for w; do
		grep -qF -- "$w" "$scratch/plan.out" || fail "--plan does not say: $w"
	done
	in_host "${user[@]}" "$STASIS" restart "${args[@]}" --detach --pidfile "$scratch/never" >"$scratch/stasis.out" 2>&1 </dev/null &&
		fail "restarted all the same"
	step "refused: $*"
}
user=()

links() { # everything that a failed restart might leave: interfaces, MTU, bridge, up or down, address
	local n
	for n in "$net_host" "$net_other"; do
		ip -n "$n" -o link show | sed 's/,LOWER_UP//; s/NO-CARRIER,//; s/ qdisc [a-z_]*//; s/ state [A-Z]*//'
	done
}

# ---- what is missing ----
tap_make "$net_host" p0 br0
frames_start : p0 1 vnet=12
forget_addresses
ask 0 5 >/dev/null || exit 1
net_checkpoint "$scratch/p0.stasis"
refused "$scratch/p0.stasis" : "p0 is in use by process $pid" "end that process" "--map tap:OLD=NEW"
end_process "$pid"
in_host "$STASIS" restart --plan "$scratch/p0.stasis" >"$scratch/plan.out" 2>&1 || fail "the plan refuses a tap that is there"
refused "$scratch/p0.stasis" --map tap:p0=new:br9 : "there is no bridge br9" "ip link add"
refused "$scratch/p0.stasis" --map tap:p0=netns:nowhere/p0 : "there is no network namespace nowhere" "ip netns add"
refused "$scratch/p0.stasis" --map tap:p0=p9 : "there is no tap p9" "ip tuntap add dev p9 mode tap"
refused "$scratch/p0.stasis" --map tap:p0=br0 : "br0 is no tap device"
refused "$scratch/p0.stasis" --map tap:p0=new:br0:p0 : "an interface p0 is there already"
refused "$scratch/p0.stasis" --map tap:p0=netns: : "--map does not say where it shall go"
ip -n "$net_host" tuntap add dev u0 mode tun
refused "$scratch/p0.stasis" --map tap:p0=u0 : "u0 is a tun device, and a tap device is needed"
ip -n "$net_host" link del p0
refused "$scratch/p0.stasis" : "there is no tap p0" "ip tuntap add dev p0 mode tap" "=new:BRIDGE"

frames_start : t0 2 vnet=12
ip -n "$net_host" link set t0 master br0 mtu 1400 up
forget_addresses
ask 0 5 >/dev/null || exit 1
net_checkpoint "$scratch/t0.stasis" --stop
tap_make "$net_host" p1 br0
refused "$scratch/t0.stasis" --map tap:t0=p1 : "p1 has one queue, and a multi-queue tap (2 queues) is needed" "multi_queue"
ip -n "$net_host" link set br0 name br5
refused "$scratch/t0.stasis" : "there is no bridge br0"
ip -n "$net_host" link set br5 name br0

# ---- all at once, for a user ----
chmod 644 "$scratch/t0.stasis"
ip -n "$net_host" link del p1
ip -n "$net_host" tuntap add dev p1 mode tap user 12345
ip -n "$net_host" link set p1 mtu 1300
nsenter --net="/run/netns/$net_host" "$FRAMES" serve "$scratch/holder.log" p1 1 >/dev/null 2>&1 &
holder=$!
own $holder
wait_for 5 "the holder" grep -qs ready "$scratch/holder.log"
user=("${as_user[@]}" env STASIS_RUNTIME_DIR="$STASIS_RUNTIME_DIR")
refused "$scratch/t0.stasis" --map tap:t0=p1 : "p1 is in use by another process" "p1 has one queue" "p1 belongs to user 12345" \
	"the MTU of p1 is 1300, it was 1400" "ip link set dev p1 mtu 1400" "p1 is down" "ip link set dev p1 up"
refused "$scratch/t0.stasis" : "no permission to make a tap device" "ip tuntap add dev t0 mode tap multi_queue user 65534"
refused "$scratch/t0.stasis" --map "tap:t0=netns:$net_other/x" : "cannot be entered"
chmod 600 /dev/net/tun
refused "$scratch/t0.stasis" : "/dev/net/tun cannot be opened: Permission denied"
chmod 666 /dev/net/tun
user=()
end_process $holder
ip -n "$net_host" link del p1

# ---- nothing is left ----
tap_make "$net_host" p2 br1 multi_queue
ip -n "$net_host" link set p2 mtu 1350
links >"$scratch/links.before"
for point in tap.configured tap.attached restart.memory restart.reconnect tap.late restart.release restart.commit; do
	for map in tap:t0=p2 tap:t0=new:br1 "tap:t0=netns:$net_other/new:br0:x1" tap:t0=none tap:other=none; do
		case $point$map in tap.configured*p2 | tap.configured*:t0=none | tap.late*:t0=none) continue ;; esac # never comes there
		in_host env STASIS_FAULT=$point "$STASIS" restart "$scratch/t0.stasis" --map "$map" --detach --pidfile "$scratch/never" \
			>"$scratch/stasis.out" 2>&1 </dev/null && fail "the restart with a fault at $point ($map) worked"
		links >"$scratch/links.after"
		diff "$scratch/links.before" "$scratch/links.after" >"$scratch/diff.out" ||
			fail "$point, $map: something is left"
	done
	step "a fault at $point leaves nothing"
done
rm -f "$scratch/never"
net_restart "$scratch/t0.stasis"
forget_addresses
ask 6 5 >/dev/null || exit 1
step "and the image still works"
end_process "$pid"

# ---- an ordinary user with a tap of its own ----
tap_make "$net_host" mine br0 user 65534
tap_make "$net_host" mine2 br1 user 65534
cd "$scratch/user" || exit 1
rm -f "$frames_log"
frames_log=$scratch/user/frames.log
FRAMES=$scratch/user/frames STASIS=$scratch/user/stasis
run_user() { nsenter --net="/run/netns/$net_host" "${as_user[@]}" env STASIS_RUNTIME_DIR="$STASIS_RUNTIME_DIR" "$@"; }
nsenter --net="/run/netns/$net_host" "${as_user[@]}" "$FRAMES" serve "$frames_log" mine 1 vnet=12 offload=1 </dev/null >/dev/null 2>&1 &
pid=$!
own $pid
wait_for 5 "the user's program" grep -qs ready "$frames_log"
forget_addresses
last=$(ask 0 10) || { echo "$last"; exit 1; }
for map in mine mine2 mine; do
	run_user "$STASIS" checkpoint "$pid" -o "$scratch/user/1.stasis" --force --stop >"$scratch/stasis.out" 2>&1 </dev/null || fail "checkpoint"
	wait_for 5 "its end" is_gone "$pid"
	run_user "$STASIS" restart "$scratch/user/1.stasis" --map "tap:mine=$map" --map "tap:mine2=$map" --detach --pidfile "$scratch/user/pid" \
		>"$scratch/stasis.out" 2>&1 </dev/null || fail "restart"
	pid=$(cat "$scratch/user/pid")
	own "$pid"
	last=$(ask $((last + 1)) 10) || { echo "$last"; exit 1; }
done
step "a user's own taps: counter goes on to $last"
run_user "$STASIS" checkpoint "$pid" -o "$scratch/user/1.stasis" --force --stop >"$scratch/stasis.out" 2>&1 </dev/null || fail "checkpoint"
run_user "$STASIS" restart "$scratch/user/1.stasis" --map tap:mine=none --detach --pidfile "$scratch/user/pid" >"$scratch/stasis.out" 2>&1 </dev/null ||
	fail "restart without a cable"
pid=$(cat "$scratch/user/pid")
own "$pid"
step "and without a cable"
end_process "$pid"
