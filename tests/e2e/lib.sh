# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by every end-to-end scenario (bash): a scratch directory, guests, their consoles, and the checks of what they say.
# A scenario exits with 0 (passed), 77 (skipped, after a line "SKIPPED: reason") or anything else (failed, after "FAIL: ...").

. "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"
setup_close_inherited
set -u
unset MALLOC_PERTURB_ # meson sets it for tests; it would make QEMU's numbers worthless
: "${STASIS:?must name the stasis binary}"
PATH=$PATH:/usr/sbin:/sbin
e2e_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
e2e_start=$(date +%s%N)
e2e_pids=()
E2E_PATIENCE=${E2E_PATIENCE:-120} # seconds, for what a guest does
if [ -n "${E2E_SCRATCH:-}" ]; then # it must be this one, as it was on another host
	scratch=$E2E_SCRATCH
	mkdir -p "$scratch" || exit 1
else
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/stasis-e2e.XXXXXX") || exit 1
fi
export STASIS_RUNTIME_DIR=$scratch/run # names of targets are kept there: ours are nobody else's business
mkdir -p -m 700 "$STASIS_RUNTIME_DIR"

# ---- saying ----
elapsed_ms() { echo $((($(date +%s%N) - ${1:-$e2e_start}) / 1000000)); }
seconds() { printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10)); }
step() { printf '[%6d ms] %s\n' "$(elapsed_ms)" "$*"; }
skip() { echo "SKIPPED: $*"; exit 77; }
fail() {
	local f
	echo "FAIL: $*"
	for f in "$scratch"/*.out "$scratch"/*.log; do
		[ -s "$f" ] && { echo "--- the end of ${f##*/}:"; tail -n 15 "$f" | tr -d '\000\r'; }
	done
	exit 1
}

# ---- processes: only our own are ever ended, by pid ----
own() { e2e_pids+=("$1"); }
end_process() { # PID: kills it and waits until it is gone
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	wait_for "$E2E_PATIENCE" "process $1 to be gone" is_gone "$1"
	local i
	for i in "${!e2e_pids[@]}"; do
		[ "${e2e_pids[i]}" != "$1" ] || unset "e2e_pids[i]"
	done
}
is_gone() { # PID: no such process, or only its remains that nobody has waited for (all threads: the last one closes the files)
	local tasks=("/proc/$1/task"/*)
	case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) in
	'' | X*) return 0 ;;
	Z*) [ ${#tasks[@]} -le 1 ] ;;
	*) return 1 ;;
	esac
}
e2e_cleanup() {
	local p
	exec 2>/dev/null # bash would tell of every process that is killed
	for p in "${e2e_pids[@]}"; do
		kill -9 "$p" 2>/dev/null
	done
	wait 2>/dev/null
	[ -n "${E2E_KEEP:-}" ] && echo "kept: $scratch" || rm -rf "$scratch"
}
trap e2e_cleanup EXIT
trap 'exit 1' INT TERM HUP

wait_for() { # SECONDS WHAT COMMAND...: until the command succeeds
	local end=$(($(date +%s%N) + $1 * 1000000000)) what=$2
	shift 2
	until "$@"; do
		[ "$(date +%s%N)" -lt "$end" ] || fail "waited in vain for $what"
		sleep 0.05
	done
}

# Processes that have our scratch directory in their command line, but for this script: "PID COMMAND".
ours() {
	local p words
	for p in /proc/[0-9]*; do
		[ "${p#/proc/}" != $$ ] && [ "${p#/proc/}" != $BASHPID ] || continue
		words=$({ tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null)
		[[ $words != *"$scratch"* ]] || is_gone "${p#/proc/}" || echo "${p#/proc/} ${words:0:120}"
	done
}

# ---- stasis ----
run_stasis() { # ARGUMENTS...: must succeed; the end of its output is shown
	"$STASIS" "$@" >"$scratch/stasis.out" 2>&1 </dev/null || fail "stasis $* ended with $?"
	tail -n 2 "$scratch/stasis.out" | sed 's/^/    /'
}
take_checkpoint() { # TARGET IMAGE [OPTIONS...]
	local target=$1 image=$2 t
	shift 2
	t=$(date +%s%N)
	run_stasis checkpoint "$target" -v -o "$image" "$@"
	[ "$(stat -c %a "$image")" = 600 ] || fail "the image's mode is $(stat -c %a "$image"), not 600"
	step "checkpoint ${image##*/}: $(stat -c %s "$image") bytes, $(seconds "$(elapsed_ms "$t")") in all"
}
restart_image() { # IMAGE [OPTIONS...]: sets `pid`
	local image=$1 t
	shift
	rm -f "$scratch/restart.pid"
	t=$(date +%s%N)
	run_stasis restart "$image" -v --detach --pidfile "$scratch/restart.pid" "$@"
	pid=$(cat "$scratch/restart.pid") && [ -d "/proc/$pid" ] || fail "restart left no running process ($pid)"
	own "$pid"
	step "restart ${image##*/}: pid $pid, $(seconds "$(elapsed_ms "$t")")"
}

# ---- the x86 Linux guest ----
guest_files() {
	E2E_GUEST=${E2E_GUEST:-$(setup_guest)} || skip "no guest kernel: it could not be fetched"
}
guest_disk() { # makes disk.qcow2: ext4 with one file of random data
	mkdir "$scratch/seed"
	head -c 2000000 /dev/urandom >"$scratch/seed/seed.bin"
	truncate -s 64M "$scratch/disk.raw"
	mke2fs -q -t ext4 -d "$scratch/seed" "$scratch/disk.raw" || fail "mke2fs"
	qemu-img convert -f raw -O qcow2 "$scratch/disk.raw" "$scratch/disk.qcow2" || fail "qemu-img convert"
	rm -r "$scratch/disk.raw" "$scratch/seed"
}
# guest_launch "KERNEL ARGUMENTS" MEMORY_MIB [QEMU ARGUMENTS...]: starts it, by way of the array `launcher`, and sets `pid`.
# no_timer_check: on a busy machine an emulated timer may tick too late for the kernel's test of the IO-APIC, which then panics.
launcher=() guest_machine=(-accel tcg -no-reboot) guest_kernel=vmlinuz guest_words="quiet panic=-1 period=50"
guest_launch() {
	local append=$1 memory=$2
	shift 2
	serial=$scratch/serial.sock qmp=$scratch/qmp.sock log=$scratch/console.log
	rm -f "$scratch/qemu.pid" "$log"
	"${launcher[@]}" qemu-system-x86_64 "${guest_machine[@]}" -smp 2 -m "$memory" -nodefaults -display none \
		-kernel "$E2E_GUEST/$guest_kernel" -initrd "$E2E_GUEST/initrd" -append "console=ttyS0 no_timer_check $guest_words $append" \
		-chardev "socket,id=serial,path=$serial,server=on,wait=off,logfile=$log" -serial chardev:serial \
		-qmp "unix:$qmp,server=on,wait=off" -pidfile "$scratch/qemu.pid" "$@" >"$scratch/qemu.out" 2>&1 </dev/null &
	qemu_job=$!
	own $qemu_job
	wait_for "$E2E_PATIENCE" "QEMU to start" guest_has_begun
	pid=$(cat "$scratch/qemu.pid")
	own "$pid"
}
guest_start() { # ARGUMENTS of guest_launch: and waits until the guest is up
	guest_launch "$@"
	wait_for "$E2E_PATIENCE" "the guest's first tick" guest_is_up
	step "guest is up: pid $pid"
}
guest_has_begun() { is_gone "$qemu_job" && fail "QEMU has ended"; test -s "$scratch/qemu.pid"; }
guest_is_up() { is_gone "$pid" && fail "QEMU has ended"; grep -qs '^TICK' "$log"; }
log_size() { stat -c %s "$log"; }
log_has() { tail -c "+$((1 + $1))" "$log" 2>/dev/null | tr -d '\r' | grep -aq -- "$2"; } # OFFSET PATTERN

# guest_ask LINE PATTERN: says something to the console and waits for the answer.
guest_ask() {
	local from fd
	from=$(log_size)
	exec {fd}> >(exec socat - "UNIX-CONNECT:$serial" >/dev/null 2>>"$scratch/socat.log")
	printf '%s%s' "$1" "${E2E_EOL-$'\n'}" >&"$fd"
	wait_for "$E2E_PATIENCE" "'$2' in answer to '$1'" log_has "$from" "$2"
	exec {fd}>&- # only now: a client that hangs up at once may take its words back
}
nothing_is_left() { [ -z "$(ours)" ]; }
no_keeper() { ! pgrep -x -r R,S,D,T stasis-track >/dev/null; } # nobody's memory is watched after a checkpoint; one that has ended may wait for init
guest_md5() { # ID: prints what the guest reads from its disk
	guest_ask "md5 $1" "^MD5END $1" >&2
	sed -n "s/^MD5 $1 //p" "$log" | tail -n 20
}
serial_shows_ticks() { timeout "$E2E_PATIENCE" socat -u "UNIX-CONNECT:$serial" - 2>/dev/null | grep -aqm1 '^TICK'; }
qmp_ask() { # COMMAND: prints the answer
	local fd
	rm -f "$scratch/qmp-answer"
	exec {fd}> >(exec socat - "UNIX-CONNECT:$qmp" >"$scratch/qmp-answer" 2>/dev/null)
	printf '{"execute":"qmp_capabilities"}\n{"execute":"%s","id":"asked"}\n' "$1" >&"$fd"
	wait_for "$E2E_PATIENCE" "QMP's answer to $1" grep -qs '"id": "asked"' "$scratch/qmp-answer"
	exec {fd}>&- # only now, as above
	grep '"id": "asked"' "$scratch/qmp-answer"
}
guest_answers() { # after a restart: new clients are accepted, everything goes on
	wait_ticks 10
	[ "$(qmp_ask query-status | jq -r '.return.status')" = running ] || fail "QMP does not say that the guest is running"
	serial_shows_ticks || fail "a new client of the serial port sees no ticks"
}

# ticks: checks the whole console log and prints "NONCE N0 N1 ..." (the last count of each CPU); fails when the nonce changed, a
# number is missing or came twice, the guest's clock jumped (back, or by more than E2E_JUMP_MS), or the guest complained.
ticks() {
	tr -d '\r' <"$log" | awk -v jump="${E2E_JUMP_MS:-5000}" -v gapfile="$scratch/gap" '
		function check(line, f, n) {
			n = split(line, f, " ")
			if (line ~ /^NOTE/) return # complaints about the machine, made when it booted
			if (line ~ /^BAD|EXT4-fs (error|warning)|I\/O error|Call Trace|Oops|BUG:/) wrong("the guest says: " line)
			if (f[1] == "REBOOTING") { nonce = ""; delete last; delete ms } # what comes is another one
			if (line !~ /^T+I+C+K+ /) return
			if (nonce == "") nonce = f[2]
			if (why(line) != "" && doubled < 9) { line = undoubled(line); n = split(line, f, " ") }
			if (why(line) != "") { wrong(why(line)); if (n != 5) return }
			if (f[3] in ms && f[5] - ms[f[3]] > gap) gap = f[5] - ms[f[3]]
			last[f[3]] = f[4]; ms[f[3]] = f[5]
			if (f[3] + 1 > cpus) cpus = f[3] + 1
		}
		function why(line, f, n) {
			n = split(line, f, " ")
			if (n != 5 || f[1] != "TICK") return "damaged line: " line
			if (f[2] != nonce) return "nonce " f[2] " instead of " nonce
			if (f[4] != last[f[3]] + 1) return "cpu " f[3] ": tick " f[4] " after " last[f[3]] + 0
			if (f[3] in ms && (f[5] < ms[f[3]] || f[5] > ms[f[3]] + jump)) return "cpu " f[3] ": clock " f[5] " after " ms[f[3]] " ms"
			return ""
		}
		# QEMU logs a character twice when a client of the console hangs up while it is written (qemu_chr_write_buffer).
		function undoubled(line, i, l) {
			for (i = 2; i <= length(line); i++) {
				if (substr(line, i, 1) != substr(line, i - 1, 1)) continue
				l = substr(line, 1, i - 1) substr(line, i + 1)
				if (why(l) == "") { doubled++; return l }
			}
			return line
		}
		function wrong(text) { if (bad++ < 5) print text }
		NR > 1 { check(held) } # the last line may be half written
		{ held = $0 }
		END {
			if (bad || nonce == "") { if (nonce == "") print "no ticks"; exit 1 }
			print gap >gapfile
			printf "%s", nonce
			for (i = 0; i < cpus; i++) printf " %d", last[i]
			printf "\n"
		}' >"$scratch/ticks" || fail "console: $(head -n 5 "$scratch/ticks")"
	cat "$scratch/ticks"
}
last_tick() { # CPU
	awk -v cpu="$1" '/^REBOOTING/ { n = 0 } $1 == "TICK" && $3 == cpu && NF == 5 { n = $4 } END { print n + 0 }' "$log"
}
ticks_beyond() { [ "$(last_tick 0)" -ge "$1" ] && [ "$(last_tick 1)" -ge "$2" ]; }
wait_ticks() { # N: until both CPUs have ticked N times more
	wait_for "$E2E_PATIENCE" "$1 more ticks of both CPUs" ticks_beyond $(($(last_tick 0) + $1)) $(($(last_tick 1) + $1))
}
same_guest() { # NONCE: the log is whole and of that guest
	local now
	now=$(ticks) || { echo "$now"; exit 1; }
	[ "${now%% *}" = "$1" ] || fail "nonce ${now%% *} instead of $1"
	step "counter without gap or repeat, nonce kept: $now; longest time between two ticks: $(cat "$scratch/gap") ms"
}
