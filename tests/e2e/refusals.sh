#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Whatever cannot be done is refused with a message that names the object, a status that is not 0, and no harm: the target
# goes on, no file appears or changes, no process is left.
. "$(dirname "$0")/lib.sh"

n=0 notes=()
# refused 'PATTERN' COMMAND...: fails with a message that matches (case does not matter); never by a signal, never at length.
refused() {
	local pattern=$1 status
	shift
	n=$((n + 1))
	timeout 30 "$@" >"$scratch/refused.out" 2>&1 </dev/null
	status=$?
	[ $status != 0 ] || fail "not refused: $*"
	[ $status != 124 ] && [ $status -le 125 ] || fail "refused with status $status: $*"
	grep -qiE -- "$pattern" "$scratch/refused.out" || fail "the refusal does not say '$pattern': $*"
	[ "$(wc -l <"$scratch/refused.out")" -le 20 ] || fail "the refusal is $(wc -l <"$scratch/refused.out") lines long: $*"
	printf '    %s\n' "$(head -n 1 "$scratch/refused.out")"
}
note() { notes+=("$*"); }
puppet_goes_on() {
	said=$((said + 1))
	echo hello >&7
	wait_for 5 "the puppet's answer" grep -q "^said $nonce $said hello" "$scratch/puppet.out"
}
listing() { ls -lA --time-style=full-iso "$images"; }

images=$scratch/images
mkdir "$images"
cp "$PUPPET" "$scratch/puppet"
mkfifo "$scratch/in"
exec 7<>"$scratch/in"
"$scratch/puppet" --things <"$scratch/in" >"$scratch/puppet.out" 2>&1 7<&- &
pid=$!
own $pid
wait_for 5 "the puppet" grep -q ready "$scratch/puppet.out"
nonce=$(awk '/^ready/ {print $2}' "$scratch/puppet.out") said=0
take_checkpoint $pid "$images/good"
puppet_goes_on
good=$(sha256sum <"$images/good")
before=$(listing)

step "targets that cannot be"
true &
dead=$!
wait $dead
refused "no (such )?process" "$STASIS" checkpoint $dead -o "$images/x"
refused "no-such-name" "$STASIS" checkpoint no-such-name -o "$images/x"
refused "no-such-name" "$STASIS" check no-such-name
kernel_thread=$(for p in /proc/[0-9]*/stat; do awk '{ sub(/.*\) /, ""); if (int($7 / 2097152) % 2) print FILENAME }' "$p" 2>/dev/null; done | head -n 1 | tr -dc 0-9)
if [ -n "$kernel_thread" ]; then
	refused "kernel thread" "$STASIS" checkpoint "$kernel_thread" -o "$images/x"
else
	note "no kernel thread is visible here"
fi
refused "itself|own process|is stasis" bash -c 'exec "$1" checkpoint $$ -o "$2"' - "$STASIS" "$images/x"
refused "child|process" bash -c 'sleep 100 & "$1" checkpoint $$ -o "$2"; s=$?; kill $!; exit $s' - "$STASIS" "$images/x"
bash -c 'sleep 100 & echo $! >"$1"; wait; :' - "$scratch/child.pid" &
parent=$!
own $parent
wait_for 5 "the child" test -s "$scratch/child.pid"
own "$(cat "$scratch/child.pid")"
refused "$(cat "$scratch/child.pid")" "$STASIS" checkpoint $parent -o "$images/x"
end_process $parent
end_process "$(cat "$scratch/child.pid")"
if [ "$(id -u)" = 0 ]; then
	cp "$STASIS" "$scratch/stasis"
	mkdir "$scratch/theirs"
	chmod 711 "$scratch"
	chown 65534:65534 "$scratch/theirs"
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all env "STASIS_RUNTIME_DIR=$scratch/theirs/run")
	refused "permi|not permitted|user" "${as_user[@]}" "$scratch/stasis" checkpoint $pid -o "$scratch/theirs/x"
	refused "permission|denied" "${as_user[@]}" "$scratch/stasis" checkpoint $pid -o "$images/x"
	refused "permission|denied" "${as_user[@]}" "$scratch/stasis" restart "$images/good" --detach --pidfile "$scratch/theirs/pid"
	[ -z "$(ls -A "$scratch/theirs" | grep -v '^run$')" ] || fail "an unprivileged refusal made files: $(ls -A "$scratch/theirs")"
else
	refused "permi|not permitted|user" "$STASIS" checkpoint 1 -o "$images/x"
fi
puppet_goes_on

step "places where no image can be"
refused "$scratch/nowhere" "$STASIS" checkpoint $pid -o "$scratch/nowhere/x"
refused "exist" "$STASIS" checkpoint $pid -o "$images/good"
refused "director" "$STASIS" checkpoint $pid -o "$images"
mkdir "$scratch/full"
if [ "$(id -u)" = 0 ]; then
	refused "no space" unshare -m bash -c 'mount -t tmpfs -o size=32k none "$3" && "$1" checkpoint "$2" -o "$3/x" --compress none
		s=$?; [ -z "$(ls -A "$3")" ] || echo "LEFT: $(ls -A "$3")"; exit $s' - "$STASIS" $pid "$scratch/full"
	! grep LEFT "$scratch/refused.out" || fail "a full disk keeps something"
fi
refused "may not grow|too large|no space" bash -c 'trap "" XFSZ; ulimit -f 16; exec "$1" checkpoint "$2" -o "$3/x" --compress none' - "$STASIS" $pid "$scratch/full"
[ -z "$(ls -A "$scratch/full")" ] || fail "a size limit keeps something: $(ls -A "$scratch/full")"
puppet_goes_on

step "files that are no image, or not a whole one"
for command in verify show "restart --detach --pidfile $scratch/never"; do
	refused "no-such-image" "$STASIS" $command "$images/no-such-image"
	refused "not a[n]? (stasis )?image|no (stasis )?image" "$STASIS" $command /etc/passwd
	refused "/dev/null|image" "$STASIS" $command /dev/null
	refused "director|image" "$STASIS" $command "$images"
done
size=$(stat -c %s "$images/good")
for at in 1 8 63 4095 4096 $((size / 3)) $((size / 2)) $((size - 4096)) $((size - 1)); do
	head -c "$at" "$images/good" >"$scratch/cut"
	refused "cut|truncated|damaged|whole|image" "$STASIS" verify "$scratch/cut"
	refused "cut|truncated|damaged|whole|image" "$STASIS" restart "$scratch/cut" --detach --pidfile "$scratch/never"
done >/dev/null
for part in 1 2 3 4 5 6 7; do # one flipped bit
	cp "$images/good" "$scratch/flipped"
	at=$((size * part / 8))
	byte=$(od -An -tu1 -j $at -N 1 "$images/good")
	printf "\\x$(printf %02x $((byte ^ 4)))" | dd of="$scratch/flipped" bs=1 seek=$at conv=notrunc status=none
	"$STASIS" verify "$scratch/flipped" >"$scratch/refused.out" 2>&1
	case $? in
	0) cmp -s "$scratch/flipped" "$images/good" && fail "the bit was not flipped" ; flat=$((${flat:-0} + 1)) ;;
	1) n=$((n + 1)) ;;
	*) fail "verify of a flipped image ended with $?" ;;
	esac
done
[ ${flat:-0} = 0 ] || fail "$flat of 7 flipped bits were not noticed (none of an image's bytes may be without a checksum)"
[ "$(sha256sum <"$images/good")" = "$good" ] || fail "the good image changed"
puppet_goes_on

step "hosts that lack something"
end_process $pid
mv "$scratch/puppet" "$scratch/puppet-moved"
refused "$scratch/puppet" "$STASIS" restart "$images/good" --detach --pidfile "$scratch/never"
cp "$(type -P true)" "$scratch/puppet"
refused "$scratch/puppet.*(chang|differ|another|modified)" "$STASIS" restart "$images/good" --detach --pidfile "$scratch/never"
rm "$scratch/puppet"
restart_image "$images/good" --map "file:$scratch/puppet=$scratch/puppet-moved" >"$scratch/mapped.out" || fail "--map file does not help"
end_process "$pid"
port=$((20000 + RANDOM % 10000))
socat -u "TCP-LISTEN:$port,bind=127.0.0.1" OPEN:/dev/null 2>"$scratch/socat.log" </dev/null >/dev/null &
pid=$!
own $pid
wait_for 5 "socat to listen" grep -q "$(printf '0100007F:%04X 00000000:0000 0A' $port)" /proc/net/tcp
take_checkpoint $pid "$scratch/listener"
refused "$port" "$STASIS" restart "$scratch/listener" --detach --pidfile "$scratch/never"
is_gone $pid && fail "the original did not survive the refused restart"
end_process $pid
restart_image "$scratch/listener"
end_process "$pid"
[ ! -e "$scratch/never" ] || fail "a refused restart made its pid file"

step "command lines that are wrong"
for words in "" "no-such-command" "checkpoint" "checkpoint 1" "checkpoint --no-such-option" "checkpoint 1 -o /x --compress lzma" \
	"checkpoint 1 -o /x --bwlimit 20X" "checkpoint 1 -o /x --bwlimit 0" "run --bwlimit 1M -- true" \
	"restart" "restart a b" "restart x --map nonsense" "show" "verify" "run" "run --name ../x -- true"; do
	refused . "$STASIS" $words
done >/dev/null
[ "$(listing)" = "$before" ] || fail "the images' directory changed: $(diff <(echo "$before") <(listing))"
[ -z "$(ours | grep -v "^${pid:-0} ")" ] || fail "left behind: $(ours)"
step "$n refusals${notes:+; not tried: $(printf '%s; ' "${notes[@]}")}"
