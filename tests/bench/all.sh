#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# All benchmarks of speed one after the other, with their peers side by side: tables on standard output, and in DIR NAME.json (one line for
# each row) and bench.svg, a plot. An otherwise idle machine, please.
# usage: all.sh [--quick] DIR		--quick: small guests, few rounds
cd "$(dirname "$0")" || exit
quick=
[ "${1:-}" != --quick ] || { quick=yes; shift; }
[ $# = 1 ] && mkdir -p "$1" || { sed -n 's/^# usage: /usage: /p' all.sh >&2; exit 2; }
dir=$(cd "$1" && pwd)
build=$(cd ../../build && pwd) || exit
export STASIS=${STASIS:-$build/adapter/cli/stasis} PULSE=${PULSE:-$build/tests/bench/pulse} SCRIBBLE=${SCRIBBLE:-$build/tests/bench/scribble} \
	FIRST_TICK=${FIRST_TICK:-$build/tests/bench/first-tick}
failed=0

# bench NAME "UNIT" "JQ: LABEL TAB VALUE" ARGUMENTS...
bench() {
	local name=$1 unit=$2 rows=$3
	shift 3
	echo "== $name ($unit)"
	if bash "$name.sh" --json "$@" 2>"$dir/$name.log" | jq -c 'if type == "array" then .[] else . end' >"$dir/$name.json" && [ "${PIPESTATUS[0]}" = 0 ]; then
		jq -r "$rows" "$dir/$name.json" | column -t -s $'\t'
		{ printf '#\t%s (%s)\n' "$name" "$unit" && jq -r "$rows" "$dir/$name.json"; } >>"$dir/plot.tsv"
	else
		echo "failed: see $dir/$name.log"
		failed=1
	fi
}
plot() { # bars, of each benchmark as long as its longest
	awk -F '\t' '
		function flush(i) {
			if (!n) return
			out = out sprintf("<text x=\"10\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y += 28, title)
			for (i = 1; i <= n; i++) {
				y += 18
				out = out sprintf("<text x=\"10\" y=\"%d\">%s</text><rect x=\"330\" y=\"%d\" width=\"%.1f\" height=\"13\" fill=\"%s\"/><text x=\"%.1f\" y=\"%d\">%s</text>\n",
					y, label[i], y - 11, 480 * value[i] / most, label[i] ~ /stasis|clones|full|tracked|compared/ ? "#27c" : "#999", 336 + 480 * value[i] / most, y, value[i])
			}
			n = most = 0
		}
		$1 == "#" { flush(); title = $2; next }
		{ label[++n] = $1; value[n] = $2; if ($2 > most) most = $2 }
		END {
			flush()
			printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n%s</svg>\n", y + 20, out
		}' "$dir/plot.tsv" >"$dir/bench.svg"
}

rm -f "$dir/plot.tsv"
median='def median: sort | .[length / 2 | floor];'
bench pause "longest silence of a guest that writes 400 MiB/s, ms" \
	"$median"' "\(.mib) MiB \(.pages) \(.peer)\t\(.silent_us | median / 1000)"' ${quick:+--sizes 256 --rounds 2}
bench first-tick "from the command to the guest's first tick, ms" '"\(.mib) MiB \(.what)\t\(.ms)"' ${quick:+256}
bench write "until the image is on the disk, ms" '"\(.mib) MiB \(.what)\t\(.ms)", "\(.mib) MiB \(.peer)\t\(.peer_ms)"' ${quick:+--sizes 256 --rounds 2}
bench clones "until all tick, ms" '"\(.clones) clones of \(.mib) MiB, lazy=\(.lazy)\t\(.all_tick_ms)"' ${quick:+10}
bench incremental "a checkpoint, ms" '"\(.mib) MiB \(.pages) \(.codec) \(.way)\t\(.total_us / 1000)"' ${quick:+--sizes 256 --rounds 2}
bench idle "what a guest does while no checkpoint is under way, of what it does without stasis" '"\(.what)\t\(.ratio)"' ${quick:+--rounds 1}
if [ -s "$dir/plot.tsv" ]; then
	plot
	echo "== $dir/bench.svg"
fi
rm -f "$dir/plot.tsv"
exit $failed
