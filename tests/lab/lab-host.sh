#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab keeps its word: output, exit status, time limit, shared directory and processor model are as asked for, and when it is
# killed no QEMU and no file is left.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tmp=$(mktemp -d) || exit
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/share" "$tmp/tmp"
fail() { echo "FAIL: $*"; tail -n 20 "$tmp"/*.out; exit 1; }
lab() { TMPDIR=$tmp/tmp "$here/lab" "$@" >"$tmp/lab.out" 2>"$tmp/lab.err.out"; } # hence the temporary files are there
clean() { [ -z "$(ls -A "$tmp/tmp")" ] || fail "left behind: $(ls -A "$tmp/tmp")"; }

echo outside >"$tmp/share/outside"
# shellcheck disable=SC2016 # all of it is expanded in the lab
lab -C max,avx2=off -s "$tmp/share" -M tun -- bash -c '
	[ -c /dev/kvm ] && [ -c /dev/net/tun ] && ! grep -qw avx2 /proc/cpuinfo && cat /share/outside &&
		echo inside >/share/inside
	printf "%s|" "$@" "$LAB" "$(id -u)"; printf "no newline at the end"; exit 7' - "two words" "a'b"
status=$?
[ $status != 77 ] || { cat "$tmp/lab.out"; exit 77; }
[ $status = 7 ] || fail "the exit status is $status, not 7"
[ "$(cat "$tmp/lab.out")" = $'outside\n'"two words|a'b|1|0|no newline at the end" ] || fail "the output is another one"
[ "$(cat "$tmp/share/inside")" = inside ] || fail "nothing was written to the shared directory"
clean

lab -t 15 -- bash -c 'echo begun; sleep 1000'
status=$?
[ $status = 124 ] && grep -q begun "$tmp/lab.out" || fail "the time ran out, but the exit status is $status"
clean

lab -q "-machine no-such-machine" -- true
status=$?
[ $status = 125 ] || fail "no lab host can come up, but the exit status is $status"
clean

TMPDIR=$tmp/tmp "$here/lab" -- bash -c 'echo begun; sleep 1000' >"$tmp/lab.out" 2>&1 &
lab=$!
for ((i = 0; i < 600; i++)); do
	! grep -q begun "$tmp/lab.out" || break
	sleep 0.2
done
grep -q begun "$tmp/lab.out" || fail "the lab did not come up"
children=$(cat "/proc/$lab/task/$lab/children")
{ kill -9 $lab; wait $lab; } 2>/dev/null
for p in $children; do
	for ((i = 0; i < 100; i++)); do
		[ -d "/proc/$p" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$p/status" || break
		sleep 0.1
	done
	[ "$i" != 100 ] || fail "process $p outlived the lab"
done
clean
echo "the lab is as asked for"
