#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# `stasis run` and `stasis restart` in the foreground behave like the program itself: input and output, exit status, signals,
# terminal with its Ctrl-C, and job control.
. "$(dirname "$0")/lib.sh"

status_is() { # STATUS COMMAND...
	local expected=$1 got
	shift
	"$@" >"$scratch/status.out" 2>&1 </dev/null
	got=$?
	[ $got = "$expected" ] || fail "status $got instead of $expected: $*"
}
status_is 0 "$STASIS" run -- true
status_is 7 "$STASIS" run -- sh -c 'exit 7'
status_is 143 "$STASIS" run -- sh -c 'kill -TERM $$'
status_is 137 "$STASIS" run -- sh -c 'kill -KILL $$'
status_is 127 "$STASIS" run -- "$scratch/no-such-program"
status_is 126 "$STASIS" run -- "$scratch"
[ "$(printf 'one\ntwo' | "$STASIS" run -- cat | od -c)" = "$(printf 'one\ntwo' | od -c)" ] || fail "run does not pass input to output"
step "run: exit status, input and output"

# ---- without a terminal: pipes ----
out=$scratch/puppet.out
sees() { # WHAT: waits for a line of the puppet's
	wait_for 10 "the puppet to say '$1'" grep -qE -- "$1" "$out"
}
begin() { # ARGUMENTS...: starts stasis with its input on descriptor 7 and output in $out; sets `front`
	rm -f "$scratch/in"
	mkfifo "$scratch/in"
	: >"$out"
	# Who runs the tests may have them ignore SIGHUP (nohup); restart would let it be so.
	env --default-signal=HUP "$STASIS" "$@" <"$scratch/in" >"$out" 2>"$scratch/stderr.log" 7>&- &
	front=$!
	own $front
	exec 7<>"$scratch/in"
}
ends_with() { # STATUS
	local got
	wait_for 10 "stasis to end" is_gone $front
	wait $front
	got=$?
	exec 7>&-
	[ $got = "$1" ] || fail "stasis ended with $got instead of $1"
}
try_signals() {
	local s
	for s in TERM INT HUP USR1 USR2 WINCH; do
		kill -s $s $front
		sees "^signal $(kill -l $s)\$"
	done
}
begin run --name front -- "$PUPPET"
sees ^ready
nonce=$(awk '/^ready/ {print $2}' "$out")
try_signals
echo hello >&7
sees "^said $nonce 1 hello"
take_checkpoint front "$scratch/front.stasis"
echo exit 5 >&7
ends_with 5
step "run: signals are passed on, and the exit status back"

for how in "exit 6:6" "raise 15:143" "raise 9:137"; do
	begin restart "$scratch/front.stasis"
	echo again >&7
	sees "^said $nonce 2 again"
	[ "$how" != "exit 6:6" ] || try_signals
	echo "${how%:*}" >&7
	ends_with "${how#*:}"
done
! grep -q interrupted "$out" || fail "a system call of the puppet was interrupted"
step "restart: the same, and the puppet remembers"

# kill -9 of the foreground process takes the target with it or leaves it running, but never half of it.
begin restart "$scratch/front.stasis"
echo again >&7
sees "^said $nonce 2 again"
kill -9 $front
wait $front 2>/dev/null
exec 7>&-
wait_for 10 "nothing of the restarted target to be left" nothing_is_left

# ---- on a terminal ----
session() { # SCRIPT: runs it with a pseudo-terminal of its own; keys go to descriptor 7, the screen to $out
	rm -f "$scratch/in"
	mkfifo "$scratch/in"
	: >"$out"
	printf '%s\n' "$1" >"$scratch/session"
	socat -t 5 - "EXEC:bash --norc --noprofile $2 $scratch/session,pty,setsid,ctty,stderr,sane,echo=0" <"$scratch/in" >"$out" 2>"$scratch/socat.log" 7>&- &
	front=$!
	own $front
	exec 7<>"$scratch/in"
}
export STASIS PUPPET scratch
on_terminal='stty rows 33 cols 99; before=$(stty -g)
"$STASIS" COMMAND
echo "status $?"
[ "$(stty -g)" = "$before" ] && echo "modes kept" || echo "modes changed: $(stty -g) instead of $before"'
session "${on_terminal/COMMAND/run --name terminal -- \"\$PUPPET\"}" ""
sees ^ready
nonce=$(tr -d '\r' <"$out" | awk '/^ready/ {print $2}')
echo tty >&7
sees "^tty 99x33 foreground yes"
printf '\003' >&7
sees "^signal 2"
take_checkpoint terminal "$scratch/terminal.stasis"
echo exit 4 >&7
sees "^status 4"
sees "^modes kept"
exec 7>&-
wait_for 10 "the session to end" is_gone $front
step "run on a terminal: size, foreground, Ctrl-C, modes"

restarted=${on_terminal/COMMAND/restart \"\$scratch/terminal.stasis\"}
session "${restarted/rows 33 cols 99/rows 44 cols 111}" ""
sleep 0.5
echo tty >&7
sees "^tty 111x44 foreground yes" # the terminal is the new one
printf '\003' >&7
sees "^signal 2"
echo hello >&7
sees "^said $nonce 3 hello"
echo exit 3 >&7
sees "^status 3"
sees "^modes kept"
exec 7>&-
wait_for 10 "the session to end" is_gone $front
step "restart on another terminal: the same"

# Job control: Ctrl-Z stops the whole job and gives the shell its prompt back; fg goes on.
for command in 'run -- "$PUPPET"' 'restart "$scratch/terminal.stasis"'; do
	session "set -m; \"\$STASIS\" $command; echo \"stopped \$?\"; fg >/dev/null; echo \"status \$?\"" ""
	sleep 0.5
	echo hello >&7
	sees "^said [0-9a-f]* [0-9]* hello"
	printf '\032' >&7
	sees "^stopped 148"
	echo welcome >&7
	sees "^said [0-9a-f]* [0-9]* welcome"
	echo exit 2 >&7
	sees "^status 2"
	exec 7>&-
	wait_for 10 "the session to end" is_gone $front
done
step "Ctrl-Z and fg"
[ -z "$(ours)" ] || fail "left behind: $(ours)"
