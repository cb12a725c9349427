# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the scenarios of USB devices (bash), which run in the lab: devices made by the kernel itself (gadgets) and plugged into
# two host controllers that are emulated by it (dummy_hcd): two ports on two buses.
E2E_PATIENCE=${E2E_PATIENCE:-120}
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
: "${USB_LOAD:?must name the usb-load program}"
[ "${LAB:-}" = 1 ] || skip "USB devices are only made in the lab"
gadgets=/sys/kernel/config/usb_gadget
ports=(dummy_udc.0 dummy_udc.1)

usb_cleanup() {
	local g f
	e2e_cleanup # ends the processes first
	for g in "$gadgets"/*; do
		echo "" >"$g/UDC"
		for f in "$g"/configs/*/*.*; do rm "$f"; done
		rmdir "$g"/configs/* "$g"/functions/* "$g"/strings/* "$g"
	done
}
trap usb_cleanup EXIT

usb_begin() { # MODULES...
	modprobe -a configfs libcomposite usb_storage "$@" 2>/dev/null && modprobe dummy_hcd num=2 || skip "this kernel has no USB gadgets"
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || fail "no configfs"
	[ -d "$gadgets" ] && [ -e "/sys/class/udc/${ports[1]}" ] || skip "this kernel has no USB gadgets"
}
gadget_make() { # NAME PRODUCT SERIAL: of vendor 1d6b, product PRODUCT (four hexadecimal digits); SERIAL may be empty
	local g=$gadgets/$1
	mkdir "$g" && echo 0x1d6b >"$g/idVendor" && echo "0x$2" >"$g/idProduct" || fail "no gadget $1"
	mkdir "$g/strings/0x409" && echo Stasis >"$g/strings/0x409/manufacturer" && echo "$1" >"$g/strings/0x409/product"
	[ -z "$3" ] || echo "$3" >"$g/strings/0x409/serialnumber"
	mkdir "$g/configs/c.1"
}
gadget_disk() { # NAME PRODUCT SERIAL FILE
	gadget_make "$1" "$2" "$3"
	mkdir "$gadgets/$1/functions/mass_storage.$1" || fail "no mass storage"
	echo 0 >"$gadgets/$1/functions/mass_storage.$1/stall"
	echo "$4" >"$gadgets/$1/functions/mass_storage.$1/lun.0/file" || fail "no disk $4"
	ln -s "$gadgets/$1/functions/mass_storage.$1" "$gadgets/$1/configs/c.1/"
}
gadget_reports() { # NAME PRODUCT SERIAL: an interrupt endpoint, which /dev/hidg0 feeds
	local f=$gadgets/$1/functions/hid.$1
	gadget_make "$1" "$2" "$3"
	mkdir "$f" || fail "no HID"
	echo 0 >"$f/protocol" && echo 0 >"$f/subclass" && echo 8 >"$f/report_length"
	# a vendor's own page, eight bytes in
	printf '\x06\x00\xff\x09\x01\xa1\x01\x09\x02\x15\x00\x26\xff\x00\x75\x08\x95\x08\x81\x02\xc0' >"$f/report_desc"
	ln -s "$f" "$gadgets/$1/configs/c.1/"
}
port_of() { # NAME: its place in sysfs, "3-1"
	local d
	for d in /sys/bus/usb/devices/*; do
		[ "$(cat "$d/product" 2>/dev/null)" != "$1" ] || echo "${d##*/}"
	done
}
node_of() { # PORT
	echo "/dev/$(sed -n 's/^DEVNAME=//p' "/sys/bus/usb/devices/$1/uevent")"
}
is_plugged() { [ -n "$(port_of "$1")" ] && [ -c "$(node_of "$(port_of "$1")")" ]; }
is_unplugged() { [ -z "$(port_of "$1")" ]; }
gadget_plug() { # NAME PORT: 0 or 1; sets `port`
	echo "${ports[$2]}" >"$gadgets/$1/UDC" || fail "$1 cannot be plugged in"
	wait_for 30 "$1 to be there" is_plugged "$1"
	port=$(port_of "$1")
	step "$1 is in port $port: $(node_of "$port")"
}
gadget_unplug() { # NAME
	echo "" >"$gadgets/$1/UDC"
	wait_for 30 "$1 to be gone" is_unplugged "$1"
	step "$1 is unplugged"
}
driver_of() { # PORT: of its first interface
	basename "$(readlink "/sys/bus/usb/devices/$1:1.0/driver" || echo none)"
}
has_driver() { [ "$(driver_of "$1")" = "$2" ]; }

# usb_load ARGUMENTS: starts it by `stasis run`; its output is $log. Sets `pid`.
usb_load() {
	log=$scratch/load.log
	: >"$log"
	"$STASIS" run --name load -- "$USB_LOAD" "$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	own "$pid"
}
log_lines() { grep -c "^$1" "$log"; }
is_well() {
	! grep "^BAD" "$log" || fail "the program says so"
}
has_more() { # WORD N: lines
	is_well
	is_gone "$pid" && fail "the program has ended"
	[ "$(log_lines "$1")" -ge "$2" ]
}
progress() { # WORD N: so many lines more
	local n
	n=$(log_lines "$1")
	wait_for "$E2E_PATIENCE" "$2 more lines $1" has_more "$1" $((n + $2))
	step "goes on: $(tail -n 1 "$log")"
}
