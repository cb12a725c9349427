#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A restart where /dev/kvm is missing, is something else, or may not be opened is refused with its name, and leaves nothing
# behind; the same image restarts once the fault is gone.
. "$(dirname "$0")/lib.sh"
[ -n "${LAB:-}" ] && [ "$(id -u)" = 0 ] || skip "this takes /dev/kvm away, which is done in the lab only"
trap 'mv -f /dev/kvm.away /dev/kvm 2>/dev/null; e2e_cleanup' EXIT

files() { find "$scratch" ! -type d ! -name refused.out -printf '%p %s %T@\n' | sort; }
refused() { # WHAT PATTERN: a restart is refused with a message that matches, and nothing changes
	local before
	before=$(files)
	! "$STASIS" restart "$scratch/image.stasis" --detach --pidfile "$scratch/never" >"$scratch/refused.out" 2>&1 </dev/null ||
		fail "a restart succeeds although $1"
	sed 's/^/    /' "$scratch/refused.out"
	grep -qi -- "$2" "$scratch/refused.out" || fail "the refusal does not say '$2'"
	nothing_left
	[ "$(files)" = "$before" ] || fail "the refused restart changed files"
	step "refused, as $1"
}
restarts_again() {
	restart_image "$scratch/image.stasis"
	guest_goes_on
	end_process "$pid"
}
make_image() {
	guest_start "fill=4" 192
	guest_healthy
	guest_nonce
	take_checkpoint "$pid" "$scratch/image.stasis" --stop
	wait_for "$E2E_PATIENCE" "the stopped target to be gone" is_gone "$pid"
}

guest_kvm microvm
launcher=("$STASIS" run --name lab-guest --)
make_image
mv /dev/kvm /dev/kvm.away
refused "/dev/kvm is missing" "/dev/kvm"
mknod -m 600 /dev/kvm c 1 3
refused "/dev/kvm is another device" "/dev/kvm"
mv -f /dev/kvm.away /dev/kvm
restarts_again

# All of it once more by an ordinary user, who may open the device only because of its mode.
user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all)
may_enter() { # PATH: in this lab host, anybody may
	local p=$1
	while [ "$p" != / ]; do
		p=$(dirname "$p")
		chmod o+x "$p" 2>/dev/null
	done
	[ -z "${2:-}" ] || "${user[@]}" test "$2" "$1" || fail "an ordinary user cannot use $1"
}
may_enter "$STASIS" -x
rm -rf "${scratch:?}"/*
mkdir -m 700 "$STASIS_RUNTIME_DIR"
cp -r "$E2E_GUEST" "$scratch/guest"
E2E_GUEST=$scratch/guest
printf '#!/bin/sh\nexec %s %s "$@"\n' "${user[*]}" "$STASIS" >"$scratch/stasis"
: >"$scratch/qemu.out"
chmod 755 "$scratch/stasis"
chown -R 65534:65534 "$scratch"
cd "$scratch" || exit # the target starts in a directory that it may enter
STASIS=$scratch/stasis
launcher=("$STASIS" run --name lab-guest --)
chmod 666 /dev/kvm
make_image
chmod 600 /dev/kvm
refused "the user may not open /dev/kvm" "/dev/kvm.*permission\|permission.*/dev/kvm"
chmod 666 /dev/kvm
restarts_again
