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

# setup_unpacked NAME PACKAGE: prints the directory NAME of the cache, with the kernel package in it that PACKAGE (Debian's name
# for the newest one) depends on; downloads and unpacks it (it is never installed) when the cache has none.
setup_unpacked() {
	local dir=$setup_cache/$1 meta=$2 package tmp
	if [ ! -e "$dir/boot" ]; then
		package=$(apt-cache depends "$meta" 2>/dev/null | awk '/Depends: linux-image/ {print $2; exit}')
		if [ -z "$package" ]; then
			setup_as_root apt-get update -q -q >&2 || return
			package=$(apt-cache depends "$meta" 2>/dev/null | awk '/Depends: linux-image/ {print $2; exit}')
		fi
		[ -n "$package" ] || setup_fail "the package sources know no $meta" || return
		mkdir -p "${dir%/*}" && tmp=$(mktemp -d "$dir.XXXXXX") || return
		if ! (cd "$tmp" && apt-get download -q -q "$package" && dpkg -x ./*.deb . && rm -f ./*.deb) >"$tmp/log" 2>&1; then
			# The package lists may be older than what the mirror still has.
			(cd "$tmp" && setup_as_root apt-get update -q -q && apt-get download -q -q "$package" && dpkg -x ./*.deb . &&
				rm -f ./*.deb) >"$tmp/log" 2>&1 || {
				cat "$tmp/log" >&2
				rm -rf "$tmp"
				setup_fail "could not fetch the kernel $package"
				return
			}
		fi
		rm -f "$tmp/log"
		chmod 755 "$tmp"
		mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp" # someone else was faster
	fi
	echo "$dir"
}

# setup_kernel: prints the directory of the guests' kernel: the one without drivers for real hardware.
setup_kernel() {
	setup_unpacked kernel linux-image-cloud-amd64
}

# setup_lab_kernel: prints the directory of the lab host's kernel, with all its modules ready for modprobe.
setup_lab_kernel() {
	local dir version
	dir=$(setup_unpacked lab/kernel linux-image-amd64) || return
	version=$(cd "$dir/lib/modules" && echo *)
	if [ ! -e "$dir/lib/modules/$version/modules.dep.bin" ]; then
		setup_quietly "depmod" env PATH="$PATH:/usr/sbin:/sbin" depmod -b "$dir" "$version" || return
	fi
	echo "$dir"
}

# setup_guest: prints a directory with `vmlinuz` and `initrd` of the test guest; builds it when its parts are newer.
setup_guest() {
	local kernel parts key dir tmp
	kernel=$(setup_kernel) || return
	parts=$setup_root/tests/guest
	key=$(cat "$parts/ticker.c" "$parts/strain.c" "$parts/init" "$parts/build-initrd" "$setup_root/tests/net/net-load.c" | cksum | tr ' ' -)
	dir=$setup_cache/guest-$key
	if [ ! -e "$dir" ]; then
		tmp=$(mktemp -d "$setup_cache/guest.XXXXXX") || return
		"$parts/build-initrd" "$kernel" "$tmp/initrd" && cp "$kernel"/boot/vmlinuz-* "$tmp/vmlinuz" || { rm -rf "$tmp"; return 1; }
		chmod 755 "$tmp"
		mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp"
	fi
	echo "$dir"
}

# setup_vmlinux BZIMAGE OUTPUT: unpacks the ELF kernel inside, which QEMU can start at its PVH entry without any firmware's
# help.
setup_vmlinux() {
	local image=$1 output=$2 setup offset length magic tool
	setup_field() { od -An -j "$1" -N "$2" -t "u$2" "$image" | tr -d ' '; } # of the header of the x86 boot protocol
	[ "$(setup_field $((0x202)) 4)" = $((0x53726448)) ] || setup_fail "$image is no bzImage" || return
	setup=$(setup_field $((0x1f1)) 1) offset=$(setup_field $((0x248)) 4) length=$(setup_field $((0x24c)) 4)
	[ "$setup" != 0 ] || setup=4
	offset=$(((setup + 1) * 512 + offset))
	magic=$(od -An -j "$offset" -N 4 -t x1 "$image" | tr -d ' ')
	case $magic in # all but gzip are followed by the size
	1f8b*) tool=gzip ;;
	fd377a58) tool=xz length=$((length - 4)) ;;
	28b52ffd) tool=zstd length=$((length - 4)) ;;
	02214c18) tool=lz4 length=$((length - 4)) ;;
	*) setup_fail "$image: packed in an unknown way ($magic)" || return ;;
	esac
	tail -c "+$((offset + 1))" "$image" | head -c "$length" | "$tool" -dc >"$output" ||
		setup_fail "$image: $tool failed" || return
	[ "$(head -c 4 "$output")" = $'\177ELF' ] || setup_fail "$image: what is in it is no ELF file"
}

# setup_kvm_guest: prints a directory with `vmlinux`, `vmlinuz` and `initrd` of the test guest.
setup_kvm_guest() {
	local dir
	dir=$(setup_guest) || return
	if [ ! -e "$dir/vmlinux" ]; then
		if ! setup_vmlinux "$dir/vmlinuz" "$dir/vmlinux.$$"; then
			rm -f "$dir/vmlinux.$$"
			return 1
		fi
		mv "$dir/vmlinux.$$" "$dir/vmlinux"
	fi
	echo "$dir"
}
