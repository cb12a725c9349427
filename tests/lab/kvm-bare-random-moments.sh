#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The bare-metal guest, which checks all that a virtual CPU has on every turn of its loop, goes from image to image at random moments
# (two checkpoints a generation): under the test VMM with these options, or with the first word "qemu" under QEMU. Not one check fails.
# usage: kvm-bare-random-moments.sh N [qemu] [OPTIONS...] [-- WORDS FOR THE GUEST...]
. "$(dirname "$0")/lib.sh"
: "${TEST_VMM:?must name test-vmm}" "${BARE_GUEST:?must name the bare-metal guest}"
generations=$1
shift
kind=vmm options=() words=nested-tcg # what the lab's own QEMU cannot emulate within KVM is left out
[ "${1:-}" != qemu ] || { kind=qemu; shift; }
while [ $# != 0 ] && [ "$1" != -- ]; do
	options+=("$1")
	shift
done
[ $# = 0 ] || { shift; words+=" $*"; }
log=$scratch/console.log
: >"$log"
if [ $kind = qemu ]; then
	"$STASIS" run --name bare -- qemu-system-x86_64 -accel kvm -smp 2 -m 64 -nodefaults -display none -no-reboot -kernel "$BARE_GUEST" \
		-chardev "file,id=console,path=$log" -device isa-debugcon,iobase=0xe9,chardev=console -append "$words" "${options[@]}" >"$scratch/target.out" 2>&1 </dev/null &
else
	"$STASIS" run --name bare -- "$TEST_VMM" "${options[@]}" --append "$words" "$BARE_GUEST" >>"$log" 2>"$scratch/target.out" </dev/null &
fi
pid=$!
own "$pid"

# Lines of each machine apart: those of a second one begin with its name.
machines() { sed -n 's/^\(vm[0-9]* \)\?TICK.*/\1/p' "$log" | sort -u; }
last_of() { awk -v p="$1" 'index($0, p "TICK") == 1 { n = $(NF - 1) } END { print n + 0 }' "$log"; }
checked() { # MACHINE: its lines by themselves through the checker of all scenarios
	local whole=$log
	if [ -n "$1" ]; then
		sed -n "s/^$1//p; /^BAD/p" "$log" >"$scratch/part.log"
		log=$scratch/part.log
	else
		grep -v '^vm[0-9]' "$log" >"$scratch/part.log"
		log=$scratch/part.log
	fi
	ticks_are_well
	log=$whole
}
beyond() { [ "$(last_of "$1")" -gt "$2" ]; }
goes_on() { # every machine ticks twice more
	local m
	for m in "${names[@]}"; do
		wait_for 60 "two more ticks of ${m:-the machine}" beyond "$m" $(($(last_of "$m") + 1))
	done
	! grep -aq BAD "$log" || fail "$(grep -am3 BAD "$log")"
}

wait_for 60 "the first ticks" grep -q TICK "$log"
sleep 1
mapfile -t names < <(machines)
declare -A nonces
for m in "${names[@]}"; do
	checked "$m"
	nonces[m$m]=${now%% *}
done
step "machines: ${#names[@]}"
# bounded COMMAND...: what hangs is shown thread by thread before it fails.
bounded() {
	local status p t
	"$@" >"$scratch/stasis.out" 2>&1 </dev/null &
	p=$!
	for ((t = 0; t < 600; t++)); do
		[ -d "/proc/$p" ] && ! is_gone "$p" || break
		sleep 0.1
	done
	if ! is_gone "$p"; then
		for t in "/proc/$pid/task"/* $(grep -lx "stasis.*" /proc/[0-9]*/comm | sed 's,/comm$,,'); do
			echo "${t#/proc/} $(<"$t/comm") $(sed -n 's/^State:[[:space:]]*//p; s/^TracerPid:/tracer/p' "$t/status" | tr '\n' ' ')" \
				"$(cat "$t/wchan" "$t/syscall" 2>/dev/null | tr '\n' ' ')"
		done
		fail "generation $i: $* hangs"
	fi
	wait "$p"
	status=$?
	[ $status = 0 ] || fail "generation $i: $* ended with $status"
}
checkpoint() { # OPTIONS...
	sleep "0.$((RANDOM % 800 + 100))"
	bounded "$STASIS" checkpoint "$pid" -o "$scratch/image" --force "$@"
}
# Two checkpoints a generation: one that the guest lives through, one from which it is restarted.
for ((i = 1; i <= generations; i++)); do
	checkpoint
	checkpoint --stop
	wait_for 10 "the stopped target to be gone" is_gone "$pid"
	bounded "$STASIS" restart "$scratch/image" --detach --pidfile "$scratch/pid"
	pid=$(<"$scratch/pid")
	own "$pid"
	if ((i % 10 == 0 || i == generations)); then
		goes_on
		step "generation $i of $generations"
	fi
done
for m in "${names[@]}"; do
	checked "$m"
	[ "${now%% *}" = "${nonces[m$m]}" ] || fail "nonce ${now%% *} instead of ${nonces[m$m]}"
	step "${m}checks clean after $((2 * generations)) checkpoints: $now"
done
end_process "$pid"
nothing_left
