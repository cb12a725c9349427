#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a plugin has brought to rest goes on again, whatever becomes of the checkpoint: it succeeds, fails, or its controller is
# killed, with and without --stop. While the picture is taken, and with --stop while it is written, it rests.
. "$(dirname "$0")/lib.sh"
: "${REST_PLUGIN:?must name rest-plugin.so}"
mkdir "$scratch/plugins"
ln -s "$REST_PLUGIN" "$scratch/plugins/rest.so"
export STASIS_PLUGINS=$scratch/plugins
mkfifo "$scratch/in"
exec 7<>"$scratch/in"
"$PUPPET" <"$scratch/in" >"$scratch/puppet.out" 2>&1 7<&- 9<>/dev/full &
pid=$!
own $pid
wait_for 5 "the puppet" grep -q ready "$scratch/puppet.out"
rests() { (($(sed -n 's/^flags:[[:space:]]*/0/p' "/proc/$pid/fdinfo/9") & 04000)); }
works() { ! rests; }
works || fail "it rests from the beginning"
faulty() { # FAULT [OPTIONS...]
	local fault=$1
	shift
	! STASIS_FAULT=$fault "$STASIS" checkpoint "$pid" -o "$scratch/image" --force "$@" >"$scratch/stasis.out" 2>&1 </dev/null || fail "$fault: not reached"
	works || fail "after $fault $*: it rests still"
	[ ! -e "$scratch/image" ] || fail "$fault: there is an image"
}
hung() { # POINT [OPTIONS...]: it rests there; the controller is killed
	local point=$1 front controller
	shift
	STASIS_FAULT=$point=hang "$STASIS" checkpoint "$pid" -o "$scratch/image" --force "$@" >"$scratch/stasis.out" 2>&1 </dev/null &
	front=$!
	own $front
	hangs() { controller=$(pgrep -P "$front") && [ "$(cut -d' ' -f1 "/proc/$controller/syscall")" = 34 ]; } # pause
	wait_for 20 "the controller to hang" hangs
	rests || fail "at $point $*: it does not rest"
	kill -9 "$controller"
	wait "$front" && fail "$point: the checkpoint succeeds"
	works || fail "killed at $point $*: it rests still"
}
for o in "" --stop; do
	for p in resting.rest resting.rests resting.save checkpoint.thaw checkpoint.write checkpoint.commit; do
		faulty $p $o
		faulty $p=kill $o
	done
	hung resting.rests $o
	hung checkpoint.thaw $o
done
hung checkpoint.write --stop
hung checkpoint.commit --stop
take_checkpoint "$pid" "$scratch/image"
works || fail "after a checkpoint: it rests still"
take_checkpoint "$pid" "$scratch/image" --force --stop
wait_for 10 "the stopped target to be gone" is_gone "$pid"
step "30 faults: it works on after each"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
