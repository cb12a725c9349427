#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Damaged and hostile images of a small process: `verify`, `show` and `restart` refuse or restore, but never crash, hang or leave
# a process behind. As root, all of it is done by an unprivileged user: a hostile image may ask for anything.
# usage: mutated-images.sh COUNT [SEED]
. "$(dirname "$0")/lib.sh"
count=$1 seed=${2:-$RANDOM} batch=100
as_user=()
if [ "$(id -u)" = 0 ]; then
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs)
fi
"${as_user[@]}" unshare -Ur true 2>/dev/null || skip "user namespaces are forbidden to ordinary users here"
mkdir "$scratch/work" "$scratch/mutants"
cp "$STASIS" "$scratch/stasis"
cp "$PUPPET" "$scratch/puppet"
cp "$HERD" "$scratch/herd"
chmod 711 "$scratch"
: >"$scratch/work/puppet.out"
[ "$(id -u)" != 0 ] || chown 65534:65534 "$scratch/work" "$scratch/work/puppet.out" "$scratch/mutants" "$STASIS_RUNTIME_DIR"
cd "$scratch/work" || exit 1
# A mutant may claim any amount of memory and disk: the limits keep that its own problem.
ulimit -c 0 -f 1048576

"${as_user[@]}" "$scratch/puppet" --things >puppet.out 2>&1 </dev/null &
pid=$!
own $pid
wait_for 5 "the puppet" grep -q ready puppet.out
"${as_user[@]}" "$scratch/stasis" checkpoint "$pid" -o "$scratch/work/image" --stop >"$scratch/stasis.out" 2>&1 || fail "checkpoint of the puppet"
wait_for 5 "the puppet to be gone" is_gone "$pid"

declare -A outcomes=()
try() { # MUTANT COMMAND...
	local mutant=$1 result
	shift
	rm -f pid
	result=$("${as_user[@]}" "$scratch/herd" -k pid 10 "$scratch/stasis" "$@" 2>"$scratch/last.log" >"$scratch/last.stdout" </dev/null; cat "$scratch/last.stdout")
	result=$(tail -n 1 <<<"$result")
	outcomes["$1: ${result% left*}"]=$((${outcomes["$1: ${result% left*}"]:-0} + 1))
	case $result in
	"exit 0 left 0") ;;
	"exit "[1-9]*" left 0") [ -s "$scratch/last.log" ] || wrong "$mutant" "$1 refuses without a word" ;;
	*) wrong "$mutant" "$1: $result" ;;
	esac
}
wrong() {
	cp "$1" "${E2E_FINDINGS:-/tmp}/stasis-mutant-$seed-${1##*/}"
	fail "$2 (seed $seed, the image is kept in ${E2E_FINDINGS:-/tmp}/stasis-mutant-$seed-${1##*/})"
}

try image verify image
try image show image
try image restart image --detach --pidfile pid
[ "${outcomes["restart: exit 0"]:-0}" = 1 ] || fail "the whole image itself does not restart: $(cat "$scratch/last.log")"
outcomes=()
for ((done = 0; done < count; done += batch)); do
	[ $((count - done)) -ge $batch ] || batch=$((count - done))
	"${as_user[@]}" "$MUTATE" image "$scratch/mutants" "$((seed + done))" "$batch" >"$scratch/mutate.out" 2>&1 || fail "mutate-images"
	made=0
	for mutant in "$scratch"/mutants/*; do
		made=$((made + 1))
		try "$mutant" verify "$mutant"
		try "$mutant" show "$mutant"
		try "$mutant" restart "$mutant" --detach --pidfile pid
	done
	[ $made = $batch ] || fail "mutate-images made $made of $batch images"
	rm -rf "$scratch/mutants/"*
done
step "$count mutated images, seed $seed"
for o in "${!outcomes[@]}"; do
	echo "    $o: ${outcomes[$o]}"
done | sort
[ -z "$(ours)" ] || fail "left behind: $(ours)"
