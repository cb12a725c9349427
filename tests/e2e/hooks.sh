#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Hooks are told of every event, can refuse where nothing is lost yet, are killed when they hang, and choose new files for old ones; a
# plan says all that is missing at once.
. "$(dirname "$0")/lib.sh"
command -v jq >/dev/null || skip "jq is not installed"

events=$scratch/events
mkdir "$events" "$scratch/data"
cat >"$scratch/hook" <<'E2'
#!/bin/bash
n=$(ls "$EVENTS" | wc -l)
cat >"$EVENTS/$n-$1.json"
pid=$(jq .target.pid "$EVENTS/$n-$1.json")
[ "$pid" = null ] || grep -s ^State: "/proc/$pid/status" >"$EVENTS/$n-$1.state"
[ "$1" != plan ] || [ -z "${ANSWER:-}" ] || printf '%b\n' "$ANSWER"
[ "$1" != "${FAIL_AT:-}" ] || { echo "this is not the right day" >&2; exit 3; }
[ "$1" != "${HANG_AT:-}" ] || { sleep 1000 & echo $! >"$EVENTS/../sleeper"; wait; }
E2
chmod +x "$scratch/hook"
export EVENTS=$events
hook=(--hook "$scratch/hook")

seen() { # EVENT...: these, in this order, and no others, since the last time
	local got
	got=$(cd "$events" && ls | sort -n | sed -n 's/^[0-9]*-\(.*\)\.json$/\1/p' | tr '\n' ' ')
	[ "$got" = "$* " ] || fail "events '$got' instead of '$* '"
	rm -rf "$scratch/seen"
	mv "$events" "$scratch/seen"
	mkdir "$events"
}
told() { # EVENT JQ-EXPRESSION: the message says so
	jq -e "$2" "$scratch/seen"/*-"$1".json >/dev/null || fail "$1 does not say $2: $(cat "$scratch/seen"/*-"$1".json)"
}
stasis() { # STATUS PATTERN ARGUMENTS...: ends so and says so (case does not matter)
	local status=$1 pattern=$2 got
	shift 2
	timeout 60 "$STASIS" "$@" >"$scratch/stasis.out" 2>&1 </dev/null
	got=$?
	[ $got = "$status" ] || fail "status $got instead of $status: $*"
	grep -qiE -- "$pattern" "$scratch/stasis.out" || fail "it does not say '$pattern': $*"
}
answers() {
	said=$((said + 1))
	echo hello >&7
	wait_for 5 "the puppet's answer" grep -q "^said $nonce $said hello" "$scratch/puppet.out"
}
listing() { (cd "$scratch" && ls -lA --time-style=full-iso data puppet.out* images && cat puppet.out data/*); }
no_process() { # has our scratch directory in its command line, nor is there a hook's child
	! grep -qas -f <(printf '%s\n' "$scratch") /proc/[0-9]*/cmdline && { [ ! -s "$scratch/sleeper" ] || is_gone "$(cat "$scratch/sleeper")"; }
}
nothing_left() {
	wait_for 5 "no process to be left" no_process
	[ "$(listing)" = "$before" ] || fail "files changed: $(diff <(echo "$before") <(listing))"
	[ ! -e "$scratch/pid" ] || fail "there is a pid file"
}

mkdir "$scratch/images"
image=$scratch/images/puppet.stasis
echo one >"$scratch/data/one"
cp -p "$scratch/data/one" "$scratch/two"
mkfifo "$scratch/in"
exec 7<>"$scratch/in"
cd "$scratch/data" || exit 1
"$PUPPET" <"$scratch/in" >"$scratch/puppet.out" 2>&1 7<&- 8<"$scratch/data/one" &
pid=$!
cd "$scratch" || exit 1
own $pid
wait_for 5 "the puppet" grep -q ready "$scratch/puppet.out"
nonce=$(awk '/^ready/ {print $2}' "$scratch/puppet.out") said=0

# ---- before a checkpoint ----
FAIL_AT=before-checkpoint stasis 1 "hook $scratch/hook \(before-checkpoint\): ended with status 3: this is not the right day; the target runs on" \
	checkpoint $pid -o "$image" "${hook[@]}"
seen before-checkpoint failed
told failed '.error | test("not the right day")'
HANG_AT=before-checkpoint stasis 1 "hook $scratch/hook \(before-checkpoint\): did not end within 1 s.*--hook-timeout" \
	checkpoint $pid -o "$image" "${hook[@]}" --hook-timeout 1
seen before-checkpoint failed
[ -z "$(ls "$scratch/images")" ] || fail "an image: $(ls "$scratch/images")"
wait_for 5 "no hook to be left" no_process
answers
step "a hook that refuses or hangs before a checkpoint: no image, the target runs on"

stasis 1 "no such name|no.*target.*nobody|nobody" checkpoint nobody -o "$image" "${hook[@]}"
seen failed
FAIL_AT=after-checkpoint stasis 0 "warning: hook $scratch/hook \(after-checkpoint\): .*not the right day; the image was made" \
	checkpoint $pid -o "$image" "${hook[@]}"
seen before-checkpoint after-checkpoint
for e in before-checkpoint after-checkpoint; do
	told $e ".event == \"$e\" and .command == \"checkpoint\" and .image == \"$image\" and .target.pid == $pid and .stop == false"
	told $e '.stasis | test("^[0-9.]+$")'
done
answers
end_process $pid
before=$(listing)
step "before and after a checkpoint"

# ---- before the release ----
for event in plan reconnect; do
	told=(plan failed)
	[ $event = plan ] || told=(plan reconnect failed)
	FAIL_AT=$event stasis 125 "hook $scratch/hook \($event\): ended with status 3: this is not the right day; nothing was started" \
		restart "$image" -d --pidfile "$scratch/pid" "${hook[@]}"
	seen "${told[@]}"
	told failed '.error | test("not the right day")'
	nothing_left
	HANG_AT=$event stasis 125 "hook $scratch/hook \($event\): did not end within 1 s" \
		restart "$image" -d --pidfile "$scratch/pid" "${hook[@]}" --hook-timeout 1
	seen "${told[@]}"
	nothing_left
	HANG_AT=$event "$STASIS" restart "$image" --pidfile "$scratch/pid" "${hook[@]}" >"$scratch/stasis.out" 2>&1 </dev/null &
	front=$!
	own $front
	wait_for 10 "the hook" eval "ls '$events' | grep -q -- '-$event.json'"
	sleep 0.2
	kill -TERM $front # as Ctrl-C, which a shell has its background jobs ignore
	wait $front
	status=$?
	[ $status = 143 ] || fail "status $status instead of 143 when cancelled in $event"
	seen "${told[@]}"
	told failed '.error | test("cancelled")'
	nothing_left
done
ANSWER="map file:/nowhere" stasis 125 'printed "map file:/nowhere".*map KIND:OLD=NEW' restart "$image" -d --pidfile "$scratch/pid" "${hook[@]}"
seen plan failed
stasis 125 "hook $scratch/no-hook \(plan\): cannot be started: No such file" restart "$image" -d --hook "$scratch/no-hook"
stasis 125 "chmod \+x" restart "$image" -d --hook "$scratch/two"
nothing_left
step "a hook that refuses, hangs or is cancelled in plan or reconnect: nothing left"

# ---- a whole restart ----
FAIL_AT=after-restart stasis 0 "warning: hook $scratch/hook \(after-restart\): .*the target runs all the same" \
	restart "$image" -d --pidfile "$scratch/pid" "${hook[@]}"
pid=$(cat "$scratch/pid")
own "$pid"
seen plan reconnect after-restart
told plan ".target.pid == null and (.needs | length > 3) and .map == []"
told plan ".needs[] | select(.object == \"file $scratch/data/one\") | .kind == \"regular\" and .uses == .needs and .obstacle == null"
for e in reconnect after-restart; do
	told $e ".command == \"restart\" and .image == \"$image\" and .target.pid == $pid"
done
told reconnect '(.needs | length > 3) and .map == []'
grep -q "t (tracing stop)" "$scratch/seen"/*-reconnect.state || fail "at the reconnect: $(cat "$scratch/seen"/*-reconnect.state)"
kill -USR1 "$pid"
wait_for 5 "the restarted puppet" grep -q "^signal 10" "$scratch/puppet.out"
end_process "$pid"
rm -f "$scratch/pid"
step "a whole restart"

# In the foreground the target does not wait for hooks that come after it.
mkfifo "$scratch/in2"
HANG_AT=after-restart "$STASIS" restart "$image" --pidfile "$scratch/pid" "${hook[@]}" --hook-timeout 3 <"$scratch/in2" >"$scratch/fg.out" 2>"$scratch/fg.log" 7<&- &
front=$!
own $front
exec 8<>"$scratch/in2"
echo hello >&8
wait_for 2 "the puppet in the foreground" grep -q "^said .* hello" "$scratch/puppet.out"
echo exit 7 >&8
wait $front
status=$?
[ $status = 7 ] || fail "status $status instead of 7"
exec 8>&-
grep -q "did not end within 3 s" "$scratch/fg.log" || fail "no word of the hook that hangs"
seen plan reconnect after-restart
wait_for 5 "no process to be left" no_process
rm -f "$scratch/pid"
step "a hook that hangs after a restart does not hold up the target"

# ---- mappings ----
mv "$scratch/data/one" "$scratch/data/one-elsewhere"
stasis 125 "data/one" restart "$image" -d "${hook[@]}"
seen plan failed
told plan ".needs[] | select(.object == \"file $scratch/data/one\") | .obstacle != null and .remedy != null and .uses == null"
ANSWER="# which file it is\nmap file:$scratch/data/one=$scratch/data/one-elsewhere" stasis 0 'warning: hook .*printed "# which' \
	restart "$image" -d --pidfile "$scratch/pid" "${hook[@]}"
pid=$(cat "$scratch/pid")
own "$pid"
[ "$(readlink "/proc/$pid/fd/8")" = "$scratch/data/one-elsewhere" ] || fail "descriptor 8 is $(readlink "/proc/$pid/fd/8")"
seen plan reconnect after-restart
told reconnect ".map == [{kind: \"file\", old: \"$scratch/data/one\", new: \"$scratch/data/one-elsewhere\", used: true}]"
end_process "$pid"
rm -f "$scratch/pid"
printf '# the files of this site\n\nfile:%s=/nowhere\n  file:%s=%s  \ntap:tap0=tap7\n' "$scratch/data/one" "$scratch/data/one" \
	"$scratch/data/one-elsewhere" >"$scratch/site.map"
stasis 0 "warning: --map tap:tap0=tap7 was not needed" restart "$image" -d --pidfile "$scratch/pid" --map-file "$scratch/site.map"
pid=$(cat "$scratch/pid")
own "$pid"
[ "$(readlink "/proc/$pid/fd/8")" = "$scratch/data/one-elsewhere" ] || fail "descriptor 8 is $(readlink "/proc/$pid/fd/8")"
end_process "$pid"
ANSWER="map file:$scratch/data/one=/nowhere" stasis 1 "warning: hook .* takes the place of file:$scratch/data/one=" restart "$image" --plan \
	--map-file "$scratch/site.map" "${hook[@]}"
seen plan
stasis 1 "/nowhere is missing" restart "$image" --plan --map-file "$scratch/site.map" --map "file:$scratch/data/one=/nowhere"
stasis 0 "can be restarted here" restart "$image" --plan --map "file:$scratch/data/one=/nowhere" --map-file "$scratch/site.map"
printf 'file:/a=/b\n# fine\nfile /c /d\nx\n' >"$scratch/bad.map"
stasis 2 "$scratch/bad.map, line 3: \"file /c /d\".*KIND:OLD=NEW" restart "$image" --plan --map-file "$scratch/bad.map"
grep -q "line 4" "$scratch/stasis.out" || fail "the other wrong line is not said"
stasis 2 "$scratch/no.map: No such file" restart "$image" --plan --map-file "$scratch/no.map"
stasis 2 "hook-timeout -1" restart "$image" --hook-timeout=-1
stasis 2 "hook-timeout 0" checkpoint 1 -o "$scratch/no-image" --hook-timeout 0
step "mappings from hooks and files; later ones override"

# ---- all that is missing ----
mv "$scratch/data" "$scratch/data-elsewhere"
rm -f "$scratch/run/"* # names of the killed targets
stasis 1 "cannot be restarted here: 3 obstacles" restart "$image" --plan --map "file:$scratch/puppet.out=/nowhere/puppet.out" --map tap:tap0=tap1
for word in "$scratch/data .working directory.: .*not there" "file $scratch/data/one .regular.: .*missing" "file $scratch/puppet.out .regular.: .*/nowhere" \
	"tap:tap0=tap1 +no: the image"; do
	grep -qE -- "$word" "$scratch/stasis.out" || fail "the plan does not say '$word'"
done
[ "$(grep -c "remedy: " "$scratch/stasis.out")" = 3 ] || fail "not three remedies"
cat "$scratch/stasis.out" | sed 's/^/    /'
stasis 1 . restart "$image" --plan --json --map "file:$scratch/puppet.out=/nowhere/puppet.out"
jq -e '.ok == false and .obstacles == 3 and ([.findings[] | select(.obstacle)] | length == 3 and all(.remedy and .object and .needs and .uses == null))
	and (.map | length == 1)' "$scratch/stasis.out" >/dev/null || fail "the plan as JSON is wrong"
stasis 0 . restart "$image" --plan --json --map "file:$scratch/data=$scratch/data-elsewhere" --map "file:$scratch/data/one=$scratch/two"
jq -e --arg new "$scratch/data-elsewhere" '.ok and any(.findings[]; .kind == "working directory" and .uses == $new and .needs != .uses)' \
	"$scratch/stasis.out" >/dev/null || fail "the plan does not say what is used"
step "a plan names three unmet needs at once"
socat UNIX-LISTEN:"$scratch/door" - </dev/null >/dev/null 2>&1 &
pid=$!
own $pid
wait_for 5 "socat" test -S "$scratch/door"
run_stasis checkpoint $pid -o "$scratch/images/door.stasis" --stop
stasis 0 . restart "$scratch/images/door.stasis" --plan --json --map "socket:unix:$scratch/door=$scratch/door2"
jq -e --arg door "$scratch/door" '.resources == [{kind: "socket", old: "unix:\($door)", new: "\($door)2"}]' "$scratch/stasis.out" >/dev/null ||
	fail "the plan does not name the socket"
step "a plan names what else can be mapped"
wait_for 5 "no process to be left" no_process
