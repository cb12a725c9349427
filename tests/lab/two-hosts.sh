#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The image of a KVM guest is carried to another lab host: one whose processor can do more takes it, one whose processor can do
# less refuses it and says what is missing. Unlike the other scenarios this one is run from outside: it starts three lab hosts
# in turn.
# usage: two-hosts
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${STASIS:?must name the stasis binary}"
more=max less=max,avx2=off,bmi1=off,bmi2=off missing=(avx2 bmi1 bmi2)

# The parts that run in the lab hosts. /share is carried from one to the next; the files that the image names must be where they
# were.
export E2E_SCRATCH=/tmp/stasis-two-hosts
make_image() { # IMAGE
	. "$here/lib.sh"
	guest_kvm microvm
	launcher=("$STASIS" run --name lab-guest --)
	guest_start "fill=4" 192
	guest_healthy
	guest_nonce
	take_checkpoint "$pid" "$scratch/$1" --stop
	wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"
	same_guest "$nonce"
	echo "$nonce" >"$scratch/nonce"
	# Sockets are made anew by a restart. The share keeps no parts of a second, by which a file is known; an archive does.
	(cd "$scratch" && find . -type f -print0 | tar --null -T - --format=posix -cf /share/scratch.tar) || fail "the image cannot be carried"
}
bring_image() {
	rm -rf "$E2E_SCRATCH"
	mkdir "$E2E_SCRATCH" && tar -xf /share/scratch.tar -C "$E2E_SCRATCH" || exit 1
	. "$here/lib.sh"
	serial=$scratch/serial.sock qmp=$scratch/qmp.sock log=$scratch/console.log
	nonce=$(cat "$scratch/nonce")
}
case ${1:-} in
first)
	make_image first.stasis
	exit ;;
second)
	bring_image
	restart_image "$scratch/first.stasis"
	guest_goes_on
	end_process "$pid"
	nothing_left
	rm -f "$scratch/first.stasis" "$scratch/console.log"
	make_image second.stasis
	exit ;;
third)
	shift
	bring_image
	! "$STASIS" restart "$scratch/second.stasis" --detach --pidfile "$scratch/never" >"$scratch/refused.out" 2>&1 </dev/null ||
		fail "a host whose processor can do less takes the image"
	sed 's/^/    /' "$scratch/refused.out"
	for word; do
		grep -qi -- "$word" "$scratch/refused.out" || fail "the refusal does not name $word"
	done
	[ ! -e "$scratch/never" ] || fail "a refused restart leaves a file of process ids"
	nothing_left
	exit ;;
esac

. "$here/../setup.sh"
STASIS=$(realpath "$STASIS") || exit
E2E_GUEST=$(setup_kvm_guest) || { echo "SKIPPED: no guest kernel: it could not be fetched"; exit 77; }
carried=$(mktemp -d "${TMPDIR:-/tmp}/stasis-two-hosts.XXXXXX") || exit
trap 'rm -rf "$carried"' EXIT
trap 'exit 1' INT TERM HUP
part() { # PROCESSOR ARGUMENTS...
	local model=$1 status
	shift
	"$here/lab" -t 1200 -C "$model" -s "$carried" -- \
		env STASIS="$STASIS" E2E_GUEST="$E2E_GUEST" bash "$here/two-hosts.sh" "$@"
	status=$?
	[ $status = 0 ] || { [ $status = 77 ] || echo "FAIL: the lab host with -cpu $model ended with $status"; exit $status; }
}
part "$less" first
part "$more" second
part "$less" third "${missing[@]}"
