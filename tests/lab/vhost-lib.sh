# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the scenarios with vhost-net (bash): a guest on KVM with a two-queue network device and many TCP connections, with
# checksums, in both directions, to a server on the host. `vhost_begin CONNECTIONS BLOCKS_PER_SECOND` begins.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
: "${NET_LOAD:?must name the net-load program}"

vhost_begin() {
	local connections=$1 rate=$2
	modprobe -a vhost_net tun bridge 2>/dev/null
	[ -c /dev/vhost-net ] || skip "no /dev/vhost-net"
	ip link add br0 type bridge && ip addr add 192.0.2.1/24 dev br0 && ip link set br0 up || fail "no bridge"
	ip tuntap add dev t0 mode tap multi_queue vnet_hdr && ip link set t0 master br0 up || fail "no tap"
	"$NET_LOAD" server 192.0.2.1 7000 "$rate" >"$scratch/server.log" 2>&1 </dev/null &
	own $!
	guest_kvm q35
	launcher=("$STASIS" run --name lab-guest --)
	guest_start "net=192.0.2.2/24 load=192.0.2.1:7000:$rate:$connections" 128 \
		-netdev "tap,id=n,ifname=t0,script=no,downscript=no,queues=2,vhost=on" -device "virtio-net-pci,netdev=n,mq=on,vectors=6,romfile="
	wait_for "$E2E_PATIENCE" "connections" grep -aqs "^LOADED" "$log"
	wait_for "$E2E_PATIENCE" "the first interrupts" grep -aqs "^LOADQ [0-9]* [0-9]*.$" "$log"
	all_progress
	guest_nonce
}
last_line() { tr -d '\r' <"$1" | sed '$d' | grep -a "^$2 " | tail -n 1; } # FILE WORD: the last line may be half written
well() {
	! grep -a "^BAD load" "$log" "$scratch/server.log" || fail "a connection is damaged"
}
idle_of() { last_line "$1" LOAD | awk '{ print NF == 6 ? $6 : 1000000000 }'; }
all_since() { # T: every connection has got a block since then
	local since
	well
	since=$(($(elapsed_ms "$1") - 2000)) # the line may be of a second ago
	[ "$(idle_of "$log")" -lt $since ] && [ "$(idle_of "$scratch/server.log")" -lt $since ]
}
queues() { last_line "$log" LOADQ | cut -d' ' -f2-; }
queues_beyond() { # NUMBERS...: each queue has had an interrupt since
	local now i
	well
	read -ra now < <(queues)
	[ "${#now[@]}" = $# ] && [ $# -ge 2 ] || return
	for ((i = 0; i < $#; i++)); do
		[ "${now[i]}" -gt "${before[i]}" ] || return
	done
}
all_progress() {
	local t
	t=$(date +%s%N)
	read -ra before < <(queues)
	wait_for "$E2E_PATIENCE" "blocks on every connection" all_since "$t"
	wait_for "$E2E_PATIENCE" "interrupts of every queue (before: ${before[*]})" queues_beyond "${before[@]}"
	step "all connections and queues go on after $(seconds "$(elapsed_ms "$t")"): guest $(last_line "$log" LOAD), interrupts $(queues); host $(last_line "$scratch/server.log" LOAD)"
}
