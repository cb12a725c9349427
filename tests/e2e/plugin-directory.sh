#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A plugin of somebody else's (the example, which is built in no program) is loaded from a directory, takes its device over a
# checkpoint and restart, and is missed by name where it is not there.
. "$(dirname "$0")/lib.sh"
: "${EXAMPLE_PLUGIN:?must name example.so}"
[ -w /dev/loop-control ] || skip "no /dev/loop-control"

mkdir "$scratch/plugins" "$scratch/none"
ln -s "$EXAMPLE_PLUGIN" "$scratch/plugins/example.so"
mkfifo "$scratch/in"
exec 7<>"$scratch/in"
"$PUPPET" <"$scratch/in" >"$scratch/puppet.out" 2>&1 7<&- 9<>/dev/loop-control &
pid=$!
own $pid
wait_for 5 "the puppet" grep -q ready "$scratch/puppet.out"
nonce=$(awk '/^ready/ {print $2}' "$scratch/puppet.out") said=0
goes_on() {
	said=$((said + 1))
	echo hello >&7
	wait_for 5 "the puppet's answer" grep -q "^said $nonce $said hello" "$scratch/puppet.out"
}
refuses() { # PATTERN COMMAND...
	local pattern=$1
	shift
	! "$STASIS" "$@" >"$scratch/stasis.out" 2>&1 </dev/null || fail "not refused: $*"
	grep -q -- "$pattern" "$scratch/stasis.out" || fail "the refusal does not say '$pattern': $*"
}

export STASIS_PLUGINS=$scratch/none
refuses "fd 9 .*loop-control" checkpoint $pid -o "$scratch/image"
export STASIS_PLUGINS=$scratch/plugins
run_stasis check $pid
grep -q "fd 9 .*example device .*opened again" "$scratch/stasis.out" || fail "check does not show the plugin's word"
take_checkpoint $pid "$scratch/image"
goes_on
end_process $pid
"$STASIS" show "$scratch/image" --json | jq -e '.. | objects | select(.setting? == 42)' >/dev/null || fail "show does not know the plugin's record"
run_stasis verify "$scratch/image"

STASIS_PLUGINS=$scratch/none refuses "EXPL\|example" restart "$scratch/image" --detach --pidfile "$scratch/never"
refuses "/no/such/device" restart "$scratch/image" --plan --map example:/dev/loop-control=/no/such/device
restart_image "$scratch/image"
[ "$(readlink "/proc/$pid/fd/9")" = /dev/loop-control ] || fail "descriptor 9 is $(readlink "/proc/$pid/fd/9")"
take_checkpoint "$pid" "$scratch/second" --stop
restart_image "$scratch/second"
[ "$(readlink "/proc/$pid/fd/9")" = /dev/loop-control ] || fail "descriptor 9 is $(readlink "/proc/$pid/fd/9") in the second generation"
! is_gone "$pid" || fail "the target of the second generation is gone"
end_process "$pid"

echo "no program" >"$scratch/plugins/broken.so"
cp "$(dirname "$EXAMPLE_PLUGIN")/libstasis-recorder.so" "$scratch/plugins/none.so"
"$STASIS" verify "$scratch/image" >"$scratch/stasis.out" 2>&1 || fail "one bad plugin spoils the others"
grep -q "broken.so cannot be loaded" "$scratch/stasis.out" || fail "no word on a file that is no plugin"
grep -q "none.so is not used: it exports no stasis_plugin" "$scratch/stasis.out" || fail "no word on a library that is no plugin"
step "example plugin: two generations, missed by name, bad neighbours named"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
