#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest started with `stasis run --every` is checkpointed by itself, time and again, in chains of incremental images: the last ones
# are kept and all that they need, one that fails is said and is no end of it, any that is left can be restarted, and the last folded.
. "$(dirname "$0")/lib.sh"
guest_files
export STASIS
images=$scratch/images
mkdir "$images"
launcher=("$STASIS" run --name every --every 4s --keep 3 -o "$images/" --)
guest_start "" 128
nonce=$(ticks) && nonce=${nonce%% *}

have() { [ "$(ls "$images" | wc -l)" -ge "$1" ]; }
highest() { local n; n=$(ls "$images" | tail -n 1) && n=${n#every.} && echo $((10#${n%.stasis})); }
number() { [ "$(highest)" -ge "$1" ]; }
wait_for 120 "three periodic images" have 3
step "images: $(cd "$images" && stat -c '%n=%s' * | tr '\n' ' ')"
sizes=$(cd "$images" && stat -c %s -- * | sort -n)
[ $(($(head -n 1 <<<"$sizes") * 2)) -lt "$(tail -n 1 <<<"$sizes")" ] || fail "no image is much smaller than another: $sizes"

# A directory that cannot be written to for a while: said, and it goes on.
mv "$images" "$images.away"
wait_for 60 "the failure to be said" grep -q 'periodic checkpoint of pid .* failed' "$scratch/qemu.out"
mv "$images.away" "$images"
kill -0 "$pid" || fail "the guest did not outlive a failed checkpoint"
now=$(highest)
wait_for 120 "image $((now + 6))" number $((now + 6))
[ "$(ls "$images" | wc -l)" -le 6 ] || fail "$(ls "$images" | wc -l) images are kept, 5 and one in the making at most"
[ -e "$images/every.000001.stasis" ] && fail "the first chain is still there"
same_guest "$nonce"

end_process "$pid"
wait_for 20 "the process that makes the images to end" eval '[ -z "$(ours)" ]'
step "left: $(ls "$images" | tr '\n' ' ')"
for image in "$images"/*.stasis; do run_stasis verify "$image"; done
last=$(ls "$images"/*.stasis | tail -n 1)
run_stasis fold "$last" -o "$scratch/folded.stasis"
first=$(ls "$images"/*.stasis | head -n 1)
for image in "$last" "$scratch/folded.stasis" "$first"; do
	[ "$image" != "$scratch/folded.stasis" ] || { mkdir "$scratch/away" && mv "$images"/*.stasis "$scratch/away/"; }
	[ "$image" != "$first" ] || mv "$scratch/away"/*.stasis "$images/"
	restart_image "$image" --disk=revert # the console's log is of that instant again
	wait_ticks 10
	same_guest "$nonce"
	end_process "$pid"
done
step "all done"
