#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# One image is restarted four times at once: each clone ticks on by itself, with files and sockets of its own and little memory of
# its own; hooks are told which clone it is; a clone can be checkpointed and cloned; if one cannot be started, or whoever starts them is
# killed, none is left.
E2E_JUMP_MS=30000 # many guests on few processors
. "$(dirname "$0")/lib.sh"
guest_files
n=4 image=$scratch/guest.stasis

clone_paths() { # sets log, qmp and pid to those of clone $1
	log=$scratch/$1/console.log qmp=$scratch/$1/qmp.sock serial=$scratch/$1/serial.sock pid=$(cat "$scratch/$1/pid")
}
clone_all() { # ARGUMENTS...
	"$STASIS" restart "$image" --detach --clones $n --pidfile "$scratch/{n}/pid" --disk=revert \
		--map "file:$log=$scratch/{n}/console.log" --map "socket:unix:$qmp=unix:$scratch/{n}/qmp.sock" \
		--map "socket:unix:$serial=unix:$scratch/{n}/serial.sock" --map "file:$scratch/qemu.pid=$scratch/{n}/qemu.pid" "$@" >"$scratch/clones.out" 2>&1 </dev/null
}
expect_refusal() { # WORD ARGUMENTS...
	local word=$1
	shift
	"$STASIS" restart "$image" "$@" >"$scratch/stasis.out" 2>&1 </dev/null && fail "stasis restart $* must be refused"
	grep -q -- "$word" "$scratch/stasis.out" || fail "the refusal of $* does not name $word"
}

guest_start "fill=32" 192
wait_ticks 10
nonce=$(ticks) || { echo "$nonce"; exit 1; }
nonce=${nonce%% *}
take_checkpoint "$pid" "$image" --stop
for i in $(seq $n); do mkdir "$scratch/$i" && cp "$log" "$scratch/qemu.pid" "$scratch/$i/"; done

expect_refusal "--detach" --clones 2
expect_refusal "{n}" --clones 2 --detach --pidfile "$scratch/pid"
expect_refusal "number from 1" --clones 0 --detach
# The third one's directory is missing.
mv "$scratch/3" "$scratch/away"
clone_all && fail "clones without a directory for one of them must fail"
mv "$scratch/away" "$scratch/3"
grep -q "none was left running" "$scratch/clones.out" || fail "nobody says that there are no clones"
for i in $(seq $n); do
	[ ! -s "$scratch/$i/pid" ] || wait_for 10 "clone $i to be gone" is_gone "$(cat "$scratch/$i/pid")"
	rm -f "$scratch/$i/pid"
done
wait_for 10 "nothing to be left" nothing_is_left

# Whoever starts them is killed while some wait for the others.
cat >"$scratch/slow" <<END
#!/bin/sh
if jq -e '.event == "reconnect" and .clone == 4' >/dev/null; then
	touch "$scratch/slow.begun"
	exec sleep 5
fi
END
chmod +x "$scratch/slow"
clone_all --hook "$scratch/slow" &
own $!
wait_for 20 "the slow clone" test -e "$scratch/slow.begun"
kill -9 "$(pgrep -P $! -x stasis || echo $!)"
wait_for 20 "nothing to be left" nothing_is_left

cat >"$scratch/hook" <<END
#!/bin/sh
jq -r '.event + " " + (.clone | tostring)' >>"$scratch/hook.log"
END
chmod +x "$scratch/hook"
t=$(date +%s%N)
clone_all --hook "$scratch/hook" || fail "clones"
step "$n clones after $(elapsed_ms "$t") ms"
for i in $(seq $n); do own "$(cat "$scratch/$i/pid")"; done
for i in $(seq $n); do
	grep -qx "after-restart $i" "$scratch/hook.log" || fail "no hook was told of clone $i: $(sort "$scratch/hook.log" | uniq -c)"
	clone_paths $i
	guest_answers
	same_guest "$nonce"
	of_its_own=$(awk '/^Private_Dirty:/ { print $2 }' "/proc/$pid/smaps_rollup")
	[ "$of_its_own" -lt 65536 ] || fail "clone $i has $of_its_own KiB of its own"
	step "clone $i: $of_its_own KiB of its own"
done
clone_paths 2
take_checkpoint "$pid" "$scratch/second.stasis" --stop
for i in 1 3 4; do end_process "$(cat "$scratch/$i/pid")"; rm -f "$scratch/$i/pid"; done
# Clones of a clone, which have only what they have touched, as when there is no room for all of it.
image=$scratch/second.stasis n=2
cp "$log" "$scratch/1/console.log"
STASIS_FAULT=template.full clone_all --map "file:$scratch/2/qemu.pid=$scratch/{n}/qemu.pid" || fail "lazy clones of a clone"
for i in 1 2; do own "$(cat "$scratch/$i/pid")"; done
for i in 1 2; do
	clone_paths $i
	wait_ticks 5
	same_guest "$nonce"
	end_process "$pid"
done
wait_for 10 "nothing to be left" nothing_is_left
