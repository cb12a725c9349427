#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: tcp-connections.sh go-on|faults|ended|killed TIMES
# A program has a TCP connection to a peer outside, with data in all queues on both sides. It is checkpointed with --tcp=repair, is gone for
# a while, and goes on: no byte is lost or comes twice. Else the peer's connection is as if nothing had been.
. "$(dirname "$0")/lib.sh"
: "${STREAM:?must name the stream program}"
net_start
v4=(192.0.2.2 192.0.2.1) v6=(2001:db8::2 2001:db8::1)
nsenter --net="/run/netns/$net_host" sysctl -qw net.ipv6.conf.br0.disable_ipv6=0 2>/dev/null
nsenter --net="/run/netns/$net_station" sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0 2>/dev/null
ip -n "$net_host" addr add ${v4[0]}/24 dev br0
ip -n "$net_station" addr add ${v4[1]}/24 dev eth0
has_v6=
ip -n "$net_host" addr add ${v6[0]}/64 dev br0 nodad 2>/dev/null && ip -n "$net_station" addr add ${v6[1]}/64 dev eth0 nodad 2>/dev/null && has_v6=1
target_log=$scratch/target.log peer_log=$scratch/peer.log image=$scratch/image
port=7000 megabytes=

unplug() { ip -n "$net_host" link set station down; }
plug() { ip -n "$net_host" link set station up; }
start_target() { # ARGUMENTS: sets `pid`
	nsenter --net="/run/netns/$net_host" "$STREAM" "$target_log" "$@" >"$scratch/target.out" 2>&1 </dev/null &
	pid=$!
	own "$pid"
}
start_peer() { # ARGUMENTS: sets `peer`
	nsenter --net="/run/netns/$net_station" "$STREAM" "$peer_log" "$@" >"$scratch/peer.out" 2>&1 </dev/null &
	peer=$!
	own "$peer"
}
connect() { # listen|connect TARGET_ADDRESS PEER_ADDRESS: what the target does
	rm -f "$target_log" "$peer_log"
	port=$((port + 1))
	if [ "$1" = connect ]; then
		start_peer listen "$3" $port 20000
		wait_for 10 "the peer to listen" grep -qs "^listening" "$peer_log"
		start_target connect "$3" $port 2000 ${megabytes:+"$megabytes"}
	else
		start_target listen "$2" $port 2000
		wait_for 10 "the target to listen" grep -qs "^listening" "$target_log"
		start_peer connect "$2" $port 20000
	fi
	wait_for 30 "the target's connection" grep -qs "^ready" "$target_log"
	wait_for 10 "the peer's connection" grep -qs "^ready" "$peer_log"
	queues_fill
}
at() { grep "^at" "$1" | tail -n 1 | cut -d ' ' -f "$2"; } # LOG FIELD
all_full() { [ "$(at "$target_log" 4)" -gt 10000 ] && [ "$(at "$target_log" 5)" -gt 10000 ] && [ "$(at "$peer_log" 4)" -gt 10000 ] && [ "$(at "$peer_log" 5)" -gt 10000 ]; }
queues_fill() { wait_for 20 "data in all queues" all_full; }
no_bad() { ! grep -h "BAD\|^end" "$target_log" "$peer_log" || fail "$1"; }
passed() { [ "$(at "$1" 2)" -gt "$2" ]; }
both_hear() { # WORDS: more comes in at both sides than lay in queues
	local t=$(($(at "$target_log" 2) + $(at "$target_log" 4) + 200000)) p=$(($(at "$peer_log" 2) + $(at "$peer_log" 4) + 200000))
	wait_for 60 "the target to hear more ($1)" passed "$target_log" $t
	wait_for 60 "the peer to hear more ($1)" passed "$peer_log" $p
	no_bad "$1"
}
both_done() { grep -q "^done" "$target_log" && grep -q "^done" "$peer_log"; }
finish() { # WORDS: both sides end; what was sent has arrived
	kill -USR1 "$pid" "$peer" 2>/dev/null
	wait_for 120 "both sides to end" both_done
	no_bad "$1"
	[ "$(sed -n 's/^done \(.*\) \(.*\)/\2 \1/p' "$target_log")" = "$(sed -n 's/^done //p' "$peer_log")" ] ||
		fail "$1: $(grep -h "^done" "$target_log" "$peer_log")"
	wait_for 10 "the target to end" is_gone "$pid"
	step "$1: $(sed -n 's/^done \(.*\) \(.*\)/\1 bytes in, \2 out/p' "$target_log")"
}
away() { sleep 0.7; } # longer than the peer waits before it sends something again
# The host does not answer for a connection that is away: see stasis-checkpoint(1).
silence() {
	in_host nft -f - <<<"table inet stasis-away { chain in { type filter hook prerouting priority raw; ip saddr ${v4[1]} drop; ip6 saddr ${v6[1]} meta l4proto tcp drop; }; }" ||
		fail "nft"
}
speak() { in_host nft delete table inet stasis-away; }
in_host nft list tables >/dev/null 2>&1 || skip "no nft, or no nf_tables in this kernel"

# First with the line cut, so that something is on its way; then with a line that is up, and a host that keeps silent.
generations_of() { # WORDS listen|connect TARGET_ADDRESS PEER_ADDRESS
	connect "${@:2}"
	unplug
	sleep 0.1
	net_checkpoint "$image" --stop --tcp=repair
	away
	net_restart "$image"
	plug
	both_hear "$1, first restart"
	queues_fill
	silence
	net_checkpoint "$image" --stop --tcp=repair
	away
	net_restart "$image"
	speak
	both_hear "$1, second restart"
}
fails_with() { # COMMAND... : WORD...: it fails and says these words
	local command=()
	while [ "$1" != : ]; do command+=("$1"); shift; done
	shift
	! "${command[@]}" >"$scratch/stasis.out" 2>&1 </dev/null || fail "does not fail: ${command[*]}"
	for word in "$@"; do
		grep -q -e "$word" "$scratch/stasis.out" || fail "\"$word\" is not said by ${command[*]}"
	done
}

go_on() {
	generations_of "a connection that was made" connect "${v4[@]}"
	finish "a connection that was made"
	generations_of "one that was accepted, its listener still there" listen "${v4[@]}"
	finish "one that was accepted, its listener still there"
	if [ -n "$has_v6" ]; then
		generations_of "one over IPv6" connect "${v6[@]}"
		finish "one over IPv6"
	else
		step "no IPv6 here: not tested"
	fi

	connect connect "${v4[@]}"
	kill -USR1 "$pid"
	sleep 0.3
	silence
	net_checkpoint "$image" --stop --tcp=repair
	away
	net_restart "$image"
	speak
	local t
	t=$(($(at "$target_log" 2) + $(at "$target_log" 4) + 200000))
	wait_for 60 "the target to hear more" passed "$target_log" $t
	finish "one whose own side had been ended"
}

survives() { # WORDS FAULT: a checkpoint that fails, by way of the fault
	fails_with in_host env STASIS_FAULT="$2" "$STASIS" checkpoint "$pid" -o "$image" --force --stop --tcp=repair :
	[ ! -e "$image" ] || fail "there is an image ($1)"
	! is_gone "$pid" || fail "the target is gone ($1)"
	wait_for 5 "the target not to be stopped ($1)" grep -q "^State:.[SRD]" "/proc/$pid/status"
	grep -q "^ShdPnd:.0*\(2000\)\?$" "/proc/$pid/status" || fail "a signal is left: $(grep ShdPnd "/proc/$pid/status")"
	both_hear "$1"
	step "$1: the connection goes on"
}

faults() {
	local weak=(in_host setpriv --bounding-set -net_admin)
	connect connect "${v4[@]}"
	fails_with in_host "$STASIS" checkpoint "$pid" -o "$image" --tcp=repair : "--stop"
	fails_with "${weak[@]}" "$STASIS" check "$pid" --tcp=repair : CAP_NET_ADMIN "--tcp=reset"
	fails_with "${weak[@]}" "$STASIS" checkpoint "$pid" -o "$image" --stop --tcp=repair : CAP_NET_ADMIN "--tcp=reset"
	in_host "$STASIS" check "$pid" --tcp=repair >"$scratch/check.out" || fail "check"
	grep -q "goes on, with all" "$scratch/check.out" || fail "check does not say that the connection goes on"
	both_hear "refused"
	survives "failed while the connection was read" checkpoint.hold
	survives "failed before the image was whole" checkpoint.commit
	survives "the controller was killed while the connection was read" checkpoint.hold=kill
	survives "the controller was killed before the image was whole" checkpoint.commit=kill

	silence
	net_checkpoint "$image" --stop --tcp=repair
	fails_with "${weak[@]}" "$STASIS" restart "$image" --detach : CAP_NET_ADMIN "--tcp=reset"
	ip -n "$net_host" addr del ${v4[0]}/24 dev br0
	fails_with in_host "$STASIS" restart "$image" --detach : "${v4[0]}" "ip address add" "--tcp=reset"
	ip -n "$net_host" addr add ${v4[0]}/24 dev br0
	for f in restart.prepare restart.memory restart.memory=kill restart.reconnect restart.commit restart.release; do
		fails_with in_host env STASIS_FAULT=$f "$STASIS" restart "$image" --detach :
	done
	net_restart "$image"
	speak
	both_hear "after restarts that failed"
	step "restarts that failed: the connection goes on after the next one"
	fails_with in_host "$STASIS" restart "$image" --plan : "already" "--tcp=reset"

	net_checkpoint "$image" --stop
	fails_with in_host "$STASIS" restart "$image" --plan --tcp=repair : "--stop --tcp=repair"
	net_restart "$image"
	wait_for 20 "the target to see a reset" grep -q "^end 104" "$target_log"
	! grep BAD "$target_log" || fail "what was unread"
	end_process "$peer"
	step "without it the connection is reset"

	connect connect "${v4[@]}"
	silence
	net_checkpoint "$image" --stop --tcp=repair
	net_restart "$image" --tcp=reset
	speak
	wait_for 20 "the target to see a reset" grep -q "^end 104" "$target_log"
	! grep BAD "$target_log" || fail "what was unread"
	step "nor with an image that has it and --tcp=reset"
}

# Controllers that are killed at any moment of a checkpoint, which would fail at its end.
killed() { # TIMES
	local i front t killed=0
	connect connect "${v4[@]}"
	survives "failed before the image was whole" checkpoint.commit
	for ((i = 0; i < $1; i++)); do
		STASIS_FAULT=checkpoint.commit nsenter --net="/run/netns/$net_host" "$STASIS" checkpoint "$pid" -o "$image" --force --stop --tcp=repair \
			>"$scratch/stasis.out" 2>&1 </dev/null &
		front=$!
		own "$front"
		sleep "$(printf '0.%03d' $((RANDOM % (i % 2 ? 200 : 40))))" # on a fast machine it is over after 20 ms
		for t in $(cat "/proc/$front/task/$front/children" 2>/dev/null); do
			kill -9 "$t" 2>/dev/null && killed=$((killed + 1))
		done
		wait "$front" 2>/dev/null && fail "the checkpoint did not fail"
		[ ! -e "$image" ] || fail "there is an image"
		both_hear "killed $i"
		wait_for 5 "the target not to be stopped" grep -q "^State:.[SRD]" "/proc/$pid/status"
	done
	step "$killed of $1 controllers killed: the connection goes on"
	[ "$killed" -gt 0 ] || fail "no controller was killed"
	finish "after all of them"
}

# Connections that are no longer there when they would be read, or cannot be kept: what had come in is received, then they end.
ended() {
	local front
	connect connect "${v4[@]}"
	kill -USR1 "$peer" # a shutdown; its queue still has to be read
	wait_for 30 "the end of the peer's data to come in" in_state "$v4" CLOSE-WAIT
	in_host "$STASIS" check "$pid" --tcp=repair >"$scratch/check.out" || fail "check"
	grep -q "closed by" "$scratch/check.out" || fail "check does not say that the connection is closed"
	net_checkpoint "$image" --stop --tcp=repair
	net_restart "$image"
	wait_for 20 "the target to see the end" grep -q "^end" "$target_log"
	! grep BAD "$target_log" || fail "what was unread"
	end_process "$peer"
	step "closed by the other side: it ends"

	megabytes=150
	connect connect "${v4[@]}"
	nsenter --net="/run/netns/$net_host" "$STASIS" checkpoint "$pid" -o "$image" --force --stop --tcp=repair --compress zstd:15 \
		>"$scratch/stasis.out" 2>&1 </dev/null &
	front=$!
	own "$front"
	wait_for 10 "the target to be stopped" grep -q "^State:.t" "/proc/$pid/status"
	sleep 0.3
	end_process "$peer"
	wait "$front" || fail "checkpoint"
	"$STASIS" show --json "$image" | jq -r '.. | objects | select(.tag? == "SOCK") | .role' >"$scratch/role"
	[ "$(cat "$scratch/role")" = reset ] || fail "the other side has ended it in time, but it is $(cat "$scratch/role")"
	net_restart "$image"
	wait_for 20 "the target to see the end" grep -q "^end 104" "$target_log"
	! grep BAD "$target_log" || fail "what was unread"
	step "reset while the target stood: it is found reset"
}
in_state() { in_host ss -Htn "state" "$(tr A-Z a-z <<<"$2")" | grep -q "$1:\|$1 "; }

case $1 in
killed) killed "$2" ;;
go-on) go_on ;;
faults) faults ;;
ended) ended ;;
esac
