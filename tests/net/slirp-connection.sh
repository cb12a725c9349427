#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest on QEMU's user network has a TCP connection to a server on this host: QEMU itself is the one who has it. QEMU is stopped
# with --tcp=repair, is gone for longer than the server takes to send something again, and is restarted, twice: the guest goes on talking.
# Without --tcp=repair the connection is reset.
. "$(dirname "$0")/lib.sh"
guest_files
net_make "$net_host"
guest_words="quiet panic=-1 period=200"
launcher=(nsenter --net="/run/netns/$net_host")
in_host nft list tables >/dev/null 2>&1 || skip "no nft, or no nf_tables in this kernel"

heard() { grep -a "^NET " "$log" 2>/dev/null | tr -d '\r' | wc -l; }
hears() { [ "$(heard)" -ge "$1" ]; }
more_lines() { # WORDS
	wait_for 60 "answers over the connection" hears $(($(heard) + 20))
	tr -d '\r' <"$log" | grep -a "^NET " | head -n -1 | awk '$2 != NR { print "NET " $2 " instead of " NR; exit 1 }' ||
		fail "the connection lost something"
	step "$1: $(heard) lines without gap or repeat"
}
connections() { in_host ss -Htn state established "( sport = :7000 )" | wc -l; }
has_ended() { [ "$(connections)" = 0 ]; }

# The hook of stasis-checkpoint(1).
cat >"$scratch/silence" <<'EOF'
#!/bin/sh
read -r about
case $1:$about in
before-checkpoint:*)
	nft -f - <<END
table inet stasis-away { chain in { type filter hook input priority 0; tcp sport 7000 drop; }; }
END
	;;
failed:*'"command": "checkpoint"'* | failed:*'"command":"checkpoint"'* | after-restart:*) nft delete table inet stasis-away ;;
esac
EOF
chmod +x "$scratch/silence"

nsenter --net="/run/netns/$net_host" socat TCP-LISTEN:7000,bind=127.0.0.1,reuseaddr,fork EXEC:cat >"$scratch/socat.out" 2>&1 &
own $!
guest_start "net=10.0.2.15/24 talk=10.0.2.2:7000" 128 -netdev user,id=n -device virtio-net-pci,netdev=n,romfile=
more_lines "the guest talks to the server"
nonce=$(ticks) || { echo "$nonce"; exit 1; }
nonce=${nonce%% *}

if in_host env STASIS_FAULT=checkpoint.commit "$STASIS" checkpoint "$pid" -o "$scratch/image" --stop --tcp=repair --hook "$scratch/silence" \
	>"$scratch/stasis.out" 2>&1 </dev/null; then
	fail "the fault did not come"
fi
more_lines "after a checkpoint that failed"
for generation in first second; do
	net_checkpoint "$scratch/image" --stop --tcp=repair --hook "$scratch/silence"
	sleep 1.5
	[ "$(connections)" = 1 ] || fail "the server has lost the connection"
	net_restart "$scratch/image" --hook "$scratch/silence"
	wait_ticks 5
	more_lines "the $generation restart"
	same_guest "$nonce"
done

net_checkpoint "$scratch/image" --stop
wait_for 10 "the server to see the end" has_ended
net_restart "$scratch/image"
wait_ticks 5
same_guest "$nonce"
at=$(heard)
sleep 2
[ "$(heard)" = "$at" ] || fail "a connection that was reset goes on"
step "without --tcp=repair the connection is reset"
end_process "$pid"
