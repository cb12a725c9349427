#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The two generations of linux-guest-two-generations.sh, all of it by a user without any privilege.
. "$(dirname "$0")/lib.sh"
guest_files

if [ "$(id -u)" != 0 ]; then
	unshare -Ur true 2>/dev/null || skip "user namespaces are forbidden to ordinary users here"
	exec bash "$e2e_here/linux-guest-two-generations.sh"
fi
as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs)
"${as_user[@]}" unshare -Ur true 2>/dev/null || skip "user namespaces are forbidden to ordinary users here"
# Everything is copied: the user may not be able to look into the directories that root works in.
home=$scratch/home
mkdir -p "$home"/{tests,bin,tmp}
cp -r "$e2e_here" "$e2e_here/../setup.sh" "$home/tests/"
cp "$STASIS" "$home/bin/"
cp -r "$E2E_GUEST" "$home/guest"
chown -R 65534:65534 "$home"
chmod 711 "$scratch"
cd "$home" || exit 1 # the target starts in a directory that it may enter
"${as_user[@]}" env HOME="$home" TMPDIR="$home/tmp" E2E_GUEST="$home/guest" STASIS="$home/bin/${STASIS##*/}" \
	bash "$home/tests/e2e/linux-guest-two-generations.sh"
