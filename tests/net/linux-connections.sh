#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: linux-connections.sh server|guests
# A Linux guest has a TCP connection, to a server on the host or to another guest. The guests are checkpointed, killed and restarted at other
# taps and in another network namespace; the connection goes on, nothing sent over it is lost or comes twice.
. "$(dirname "$0")/lib.sh"
guest_files
net_start
guest_words="quiet panic=-1 period=200"
launcher=(nsenter --net="/run/netns/$net_host")
scratch_all=$scratch
trap 'scratch=$scratch_all; net_cleanup' EXIT

in_guest() { # NAME: the variables of the e2e library are those of this guest
	guest=$1 scratch=$scratch_all/$1
	serial=$scratch/serial.sock qmp=$scratch/qmp.sock log=$scratch/console.log
	pid=${pids[$1]:-}
}
declare -A pids macs taps
macs=([one]=52:54:00:12:34:01 [two]=52:54:00:12:34:02)
boot() { # NAME TAP WORDS: does not wait
	mkdir -p "$scratch_all/$1"
	in_guest "$1"
	guest_launch "$3" 128 -netdev "tap,id=n,ifname=$2,script=no,downscript=no" -device "virtio-net-pci,netdev=n,mac=${macs[$1]},romfile="
	pids[$1]=$pid taps[$1]=$2
	ip -n "$net_host" link set "$2" master br0 up
}
is_up() { in_guest "$1"; guest_is_up; }
heard() { grep -a "^NET " "$scratch_all/one/console.log" 2>/dev/null | tr -d '\r' | wc -l; }
hears() { [ "$(heard)" -ge "$1" ]; }
check_lines() { # the last line may be half written
	tr -d '\r' <"$scratch_all/one/console.log" | grep -a "^NET " | head -n -1 |
		awk '$2 != NR { print "NET " $2 " instead of " NR; exit 1 }' || fail "the connection lost something"
}
more_lines() {
	local from t
	t=$(date +%s%N) from=$(heard)
	wait_for 60 "an answer over the connection" hears $((from + 1))
	first=$(elapsed_ms "$t")
	wait_for 60 "answers over the connection" hears $((from + 20))
	check_lines
}
move() { # WORDS [NAME SPEC]...: all of them are stopped before the first is restarted
	local words=$1 n
	shift
	local all=("$@")
	for ((n = 0; n < ${#all[@]}; n += 2)); do
		in_guest "${all[n]}"
		net_checkpoint "$scratch/image" --stop
	done
	for ((n = 0; n < ${#all[@]}; n += 2)); do
		in_guest "${all[n]}"
		net_restart "$scratch/image" --map "tap:${taps[$guest]}=${all[n + 1]}"
		pids[$guest]=$pid
		taps[$guest]=$(sed -n 's/^iff:[[:space:]]*//p' /proc/"$pid"/fdinfo/* 2>/dev/null | head -n 1)
	done
	more_lines
	step "$words: $(heard) lines without gap or repeat; the first $first ms after the restart"
}

case $1 in
server)
	ip -n "$net_station" addr add 192.0.2.1/24 dev eth0
	nsenter --net="/run/netns/$net_station" socat TCP-LISTEN:7000,reuseaddr EXEC:cat >"$scratch/socat.out" 2>&1 &
	own $!
	boot one t1 "net=192.0.2.21/24 talk=192.0.2.1:7000"
	wait_for 180 "the guest" is_up one
	more_lines
	step "the guest has booted and talks to the server"
	tap_make "$net_host" tb br1
	tap_make "$net_other" to br0
	move "the same tap, made anew" one t1
	move "another tap on another bridge" one tb
	move "a tap in another network namespace" one "netns:$net_other/to"
	move "a new tap" one new:br1
	;;
guests)
	boot two t2 "net=192.0.2.22/24 listen=7000"
	wait_for 180 "guest two" is_up two
	boot one t1 "net=192.0.2.21/24 talk=192.0.2.22:7000"
	wait_for 180 "guest one" is_up one
	more_lines
	step "both guests have booted and talk"
	move "both on another bridge" one new:br1:n1 two new:br1:n2
	move "one of them in another network namespace" one "netns:$net_other/new:br0:o1"
	move "both there" one "netns:$net_other/new:br0:p1" two "netns:$net_other/new:br0:p2"
	;;
esac
for g in "${!pids[@]}"; do
	in_guest "$g"
	! grep -a "^BAD\|Call Trace\|BUG:" "$log" || fail "the guest noticed"
	end_process "$pid"
done
scratch=$scratch_all
