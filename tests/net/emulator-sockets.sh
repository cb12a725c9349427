#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# QEMU with all that it can have sockets for: QMP and a monitor over TCP, QMP and the console over unix sockets, VNC, and network
# backends of the kinds socket, stream and dgram, all of them on one hub with the guest's network card. After a restart the emulator goes
# on, new clients can connect and frames get through; with --tcp=repair also over the connections that it had made itself. A port that is
# taken is named, and can be changed. Without --tcp=repair, connections that QEMU had made can be made anew, to another address as well.
. "$(dirname "$0")/lib.sh"
guest_files
net_make "$net_host"
launcher=(nsenter --net="/run/netns/$net_host")
guest_words="quiet panic=-1 period=200"

# An ARP question and the beginning of the guest's answer, as hexadecimal digits; \x.. for printf.
question=ffffffffffff020000000099080600010800060400010200000000990a0900010000000000000a090002
answer=08060001080006040002${guest_mac//:/}0a090002
frame() { # [stream]: a stream has the length in front
	printf '%b' "$(sed 's/../\\x&/g' <<<"${1:+0000002a}$question")"
}
has_answer() { od -An -v -tx1 "$1" | tr -d ' \n' | grep -q "$answer"; }
client() { # WORDS stream|'' SOCAT_ADDRESS: asks as somebody new
	for i in 1 2 3; do
		rm -f "$scratch/dgram-peer"
		{ frame "$2"; sleep 1; } | in_host timeout 10 socat -t 1 - "$3" >"$scratch/answer" 2>"$scratch/socat.log"
		! has_answer "$scratch/answer" || { step "$1: answered"; return; }
	done
	fail "no answer: $1"
}
server() { # NAME PORT|PATH: waits for QEMU, and stays
	local at=TCP-LISTEN:$2,bind=127.0.0.1,reuseaddr
	[[ $2 != /* ]] || at=UNIX-LISTEN:$2
	mkfifo "$scratch/$1.in"
	exec {servers[$1]}<>"$scratch/$1.in"
	nsenter --net="/run/netns/$net_host" socat "$at" - <"$scratch/$1.in" >"$scratch/$1.answers" 2>"$scratch/$1.log" &
	own $!
}
declare -A servers=()
through() { # NAME: asks over the connection that QEMU has made
	: >"$scratch/$1.answers"
	frame stream >"$scratch/$1.in"
	wait_for 10 "an answer over the connection of $1" has_answer "$scratch/$1.answers"
	step "$1, a connection made by QEMU: answered"
}
greets() { # PATTERN SOCAT_ADDRESS
	for i in 1 2 3; do
		! in_host timeout $((2 * i)) socat -u "$2" - 2>/dev/null | grep -aqm1 "$1" || return 0
	done
	fail "no $1 from $2"
}
all_clients() { # PORT of the first
	greets QMP TCP:127.0.0.1:7001
	greets "QEMU [0-9]" TCP:127.0.0.1:7002
	greets "RFB 003" TCP:127.0.0.1:5907
	[ "$(qmp_ask query-status | jq -r '.return.status')" = running ] || fail "QMP does not say that the guest is running"
	client "socket,listen" stream "TCP:127.0.0.1:$1"
	client "socket,udp" "" UDP-SENDTO:127.0.0.1:7203,bind=127.0.0.1:7103
	client "stream over a unix socket" stream "UNIX-CONNECT:$scratch/stream"
	client "dgram" "" UDP-SENDTO:127.0.0.1:7204,bind=127.0.0.1:7104
	client "dgram over unix sockets" "" "UNIX-SENDTO:$scratch/dgram,bind=$scratch/dgram-peer"
}
backends=() hub=0
backend() { # SPEC: one more on the hub
	hub=$((hub + 1))
	backends+=(-netdev "$1,id=b$hub" -netdev "hubport,hubid=0,id=h$hub,netdev=b$hub")
}
backend socket,listen=127.0.0.1:7101
backend socket,connect=127.0.0.1:7102
backend socket,udp=127.0.0.1:7103,localaddr=127.0.0.1:7203
backend "stream,server=on,addr.type=unix,addr.path=$scratch/stream"
backend stream,server=off,addr.type=inet,addr.host=127.0.0.1,addr.port=7105
backend "stream,server=off,addr.type=unix,addr.path=$scratch/switch" # as with passt
backend dgram,local.type=inet,local.host=127.0.0.1,local.port=7204,remote.type=inet,remote.host=127.0.0.1,remote.port=7104
backend "dgram,local.type=unix,local.path=$scratch/dgram,remote.type=unix,remote.path=$scratch/dgram-peer"
silence() { # the host says nothing to the servers while QEMU is away
	in_host nft -f - <<<"table inet stasis-away { chain in { type filter hook input priority 0; tcp sport { 7102, 7105 } drop; }; }" || fail "nft"
}
speak() { in_host nft delete table inet stasis-away; }
in_host nft list tables >/dev/null 2>&1 || skip "no nft, or no nf_tables in this kernel"

server connect 7102
server stream-client 7105
server unix-client "$scratch/switch"
sleep 0.5
guest_start "net=10.9.0.2/24" 128 "${backends[@]}" -netdev hubport,hubid=0,id=nic -device "virtio-net-pci,netdev=nic,mac=$guest_mac,romfile=" \
	-qmp tcp:127.0.0.1:7001,server=on,wait=off -monitor tcp:127.0.0.1:7002,server=on,wait=off -vnc 127.0.0.1:7
nonce=$(ticks) || { echo "$nonce"; exit 1; }
nonce=${nonce%% *}
all_clients 7101
through connect
through stream-client
through unix-client

missed() { # PATTERN MAP...
	in_host "$STASIS" restart "$scratch/image" --detach "${@:2}" >"$scratch/stasis.out" 2>&1 </dev/null && fail "a connection that cannot be made is not missed"
	grep -q "$1" "$scratch/stasis.out" || fail "what is missing is not said: $1"
}
silence
net_checkpoint "$scratch/image" --stop --tcp=repair
nsenter --net="/run/netns/$net_host" socat TCP-LISTEN:7101,bind=127.0.0.1,reuseaddr - </dev/null >/dev/null 2>&1 &
thief=$!
own "$thief"
sleep 0.3
in_host "$STASIS" restart "$scratch/image" --detach >"$scratch/stasis.out" 2>&1 </dev/null && fail "a port that is taken is not missed"
grep -q "port 7101 is needed" "$scratch/stasis.out" && grep -q -e "--map socket:tcp:7101=" "$scratch/stasis.out" || fail "the port and the remedy are not said"
switch="--map=socket:unix:$scratch/switch=connect:$scratch/switch2"
missed "nobody listens on the socket $scratch/switch2" --map socket:tcp:7101=7111 "$switch"
server unix-anew "$scratch/switch2"
sleep 0.5
net_restart "$scratch/image" --map socket:tcp:7101=7111 "$switch"
speak
wait_ticks 5
same_guest "$nonce"
all_clients 7111
through connect
through stream-client
through unix-anew
step "restarted with --tcp=repair and another port"

net_checkpoint "$scratch/image" --stop
net_restart "$scratch/image"
wait_ticks 5
same_guest "$nonce"
all_clients 7111
step "restarted, connections reset"
end_process "$pid"

missed "127.0.0.1:7112 cannot be connected to: Connection refused" --map socket:tcp:127.0.0.1:7102=connect:7112
missed '"7112" does not say how its connection to tcp:127.0.0.1:7102 is to be made anew' --map socket:tcp:127.0.0.1:7102=7112
server connect-anew 7112
server stream-anew 7105
sleep 0.5
net_restart "$scratch/image" --map socket:tcp:127.0.0.1:7102=connect:7112 --map socket:tcp:127.0.0.1:7105=connect
wait_ticks 5
same_guest "$nonce"
through connect-anew
through stream-anew
step "restarted, connections made anew"
end_process "$pid"
