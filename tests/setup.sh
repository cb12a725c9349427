# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by demo, check and the end-to-end tests (bash): what a fresh Debian machine lacks is brought here. Packages are
# installed, a guest kernel is fetched and unpacked (never installed), the guest's initramfs is built; all of it once.

setup_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup_cache=${STASIS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/stasis}

setup_fail() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	return 1
}

setup_as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		setup_fail "needs root for: $* (or install sudo)"
	fi
}

# Closes what the caller's caller left open: a guest would inherit it (a lock, say, that then is held when it is restarted).
setup_close_inherited() {
	local fd
	for fd in /proc/$$/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || [ "$fd" = 255 ] || eval "exec $fd>&-" # 255 is bash's own
	done
}

# setup_packages GROUP...: installs those of tests/packages that are missing.
setup_packages() {
	local group missing=() p
	for group; do
		for p in $(sed -n "s/^$group //p" "$setup_root/tests/packages"); do
			[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
		done
	done
	[ ${#missing[@]} = 0 ] && return 0
	echo "installing: ${missing[*]}"
	setup_as_root apt-get update -q -q >&2 || setup_fail "apt-get update failed" || return
	setup_quietly "installing ${missing[*]}" setup_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends "${missing[@]}"
}

# setup_quietly WHAT COMMAND...: shows the end of the command's output only if it fails, and the compiler's warnings always.
setup_quietly() {
	local what=$1 log
	shift
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1; then
		tail -n 60 "$log" >&2
		rm -f "$log"
		setup_fail "$what failed"
		return
	fi
	! grep "warning:" "$log" >&2 # as an exit status it would say the opposite
	rm -f "$log"
}

# setup_configure DIRECTORY [MESON OPTION...]: once, and again whenever there are options.
setup_configure() {
	local dir=$1 again=()
	shift
	if [ -e "$dir/build.ninja" ]; then
		[ $# != 0 ] || return 0
		again=(--reconfigure)
	fi
	setup_quietly "configuring $dir" meson setup "${again[@]}" "$dir" "$setup_root" "$@"
}

# setup_build DIRECTORY [MESON OPTION...]: configures and builds everything.
setup_build() {
	setup_configure "$@" && setup_quietly "the build in $1" ninja -C "$1"
}

# setup_kernel: prints the directory of an unpacked Debian cloud kernel package; downloads it when the cache has none.
setup_kernel() {
	local dir=$setup_cache/kernel package tmp
	if [ ! -e "$dir/boot" ]; then
		package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ {print $2; exit}')
		if [ -z "$package" ]; then
			setup_as_root apt-get update -q -q >&2 || return
			package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ {print $2; exit}')
		fi
		[ -n "$package" ] || setup_fail "the package sources know no linux-image-cloud-amd64" || return
		mkdir -p "$setup_cache" && tmp=$(mktemp -d "$setup_cache/kernel.XXXXXX") || return
		if ! (cd "$tmp" && apt-get download -q -q "$package" && dpkg -x ./*.deb . && rm -f ./*.deb) >"$tmp/log" 2>&1; then
			# The package lists may be older than what the mirror still has.
			(cd "$tmp" && setup_as_root apt-get update -q -q && apt-get download -q -q "$package" && dpkg -x ./*.deb . &&
				rm -f ./*.deb) >"$tmp/log" 2>&1 || {
				cat "$tmp/log" >&2
				rm -rf "$tmp"
				setup_fail "could not fetch the guest kernel $package"
				return
			}
		fi
		rm -f "$tmp/log"
		chmod 755 "$tmp"
		mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp" # someone else was faster
	fi
	echo "$dir"
}

# setup_guest: prints a directory with `vmlinuz` and `initrd` of the test guest; builds it when its parts are newer.
setup_guest() {
	local kernel parts key dir tmp
	kernel=$(setup_kernel) || return
	parts=$setup_root/tests/guest
	key=$(cat "$parts/ticker.c" "$parts/init" "$parts/build-initrd" | cksum | tr ' ' -)
	dir=$setup_cache/guest-$key
	if [ ! -e "$dir" ]; then
		tmp=$(mktemp -d "$setup_cache/guest.XXXXXX") || return
		"$parts/build-initrd" "$kernel" "$tmp/initrd" && cp "$kernel"/boot/vmlinuz-* "$tmp/vmlinuz" || { rm -rf "$tmp"; return 1; }
		chmod 755 "$tmp"
		mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp"
	fi
	echo "$dir"
}
