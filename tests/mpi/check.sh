#!/usr/bin/env bash
# Several processes train what one does: losses, bits, resuming, and what becomes of a process that dies.
#
#   bash tests/mpi/check.sh [PROGRAM]
#
# Needs Open MPI's mpirun, and a program that was built with --features mpi: target/debug/zoo-tuning, unless
# another is named.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
program=${1:-$target/debug/zoo-tuning}
out=$target/mpi
rm -rf "$out" && mkdir -p "$out"
# A container's user is root, and its cores are fewer than four.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

zoo=(data/zoo/as_is.safetensors data/zoo/rotated.safetensors data/zoo/inverted.safetensors)
digits=(--data data/digits/digits.csv.gz --shots 8 --batch 15 --lr 0.01 --log-every 1)

processes() {
    local count=$1
    shift
    mpirun -n "$count" --oversubscribe --bind-to none "$program" "$@"
}

# Losses of two runs, line by line: within one part of a million, or the same to the bit.
same() {
    python3 - "$@" <<'END'
import json, sys
kind, *folders = sys.argv[1:]
one, other = ([json.loads(line)["loss"] for line in open(f"{f}/metrics.jsonl")] for f in folders)
assert len(one) == len(other) > 0, (len(one), len(other))
largest = max(abs(a - b) / abs(a) for a, b in zip(one, other))
print(f"{folders[1]}: {len(one)} losses, at most {largest:.1e} from those of {folders[0]}")
assert largest == 0 if kind == "bits" else largest <= 1e-6, largest
END
}

# As many sources as the form has, 20 steps; the last batch of each epoch has 5 images.
compare() {
    local name=$1 count
    shift
    "$program" train "$@" --steps 20 --out "$out/$name-1" >"$out/$name-1.log" 2>&1
    for count in 2 4; do
        processes "$count" train "$@" --steps 20 --out "$out/$name-$count" >"$out/$name-$count.log" 2>&1
        same close "$out/$name-1" "$out/$name-$count"
    done
}
compare single --form single --zoo "${zoo[0]}" "${digits[@]}" --clip-norm 1
compare lite --form lite --zoo "${zoo[@]}" "${digits[@]}" --average 0.9 --class-weights balanced
compare zoo --form zoo --zoo "${zoo[@]}" "${digits[@]}" --accumulate 2 --mixup 0.2
compare routed --form routed --guard off --zoo "${zoo[@]}" "${digits[@]}"
# Points, some of which are missing: their numbers differ between processes.
mkdir "$out/points"
{
    echo "scorer,me,me,me,me"
    echo "bodyparts,a,a,b,b"
    echo "coords,x,y,x,y"
    for number in 1 2 3 4 5 6; do
        cp tests/pictures/photo.png "$out/points/$number.png"
        if [ $((number % 3)) -eq 0 ]; then echo "$number.png,1$number,8,,"; else echo "$number.png,1$number,8,20,16"; fi
    done
} >"$out/points/labels.csv"
compare landmarks --task landmarks --form lite --zoo data/mouse/bottom.safetensors data/mouse/side.safetensors \
    --data "$out/points/labels.csv" --size 64 --batch 5 --lr 1e-2 --log-every 1

# The same number of processes, the same bits.
processes 2 train --form lite --zoo "${zoo[@]}" "${digits[@]}" --average 0.9 --class-weights balanced \
    --steps 20 --out "$out/again" >"$out/again.log" 2>&1
same bits "$out/lite-2" "$out/again"
cmp "$out/lite-2/model.safetensors" "$out/again/model.safetensors"

# Killed in the middle, one of four: the others end within 30 seconds, and say so. Three go on from the
# last checkpoint.
long=(--form lite --zoo "${zoo[@]}" "${digits[@]}" --checkpoint-every 5)
processes 4 train "${long[@]}" --steps 100000 --out "$out/killed" >"$out/killed.log" 2>&1 &
running=$!
for ((waited = 0; waited < 600; waited++)); do
    [ -e "$out/killed/checkpoint.safetensors" ] && [ "$(wc -l <"$out/killed/metrics.jsonl")" -gt 12 ] && break
    sleep 0.1
done
victim=$(pgrep -f "$program train .*--out $out/killed" | tail -n 1)
begun=$SECONDS
kill -KILL "$victim"
status=0
wait "$running" || status=$?
[ "$status" -ne 0 ]
[ $((SECONDS - begun)) -le 30 ]
grep -qi "signal 9" "$out/killed.log"
[ -z "$(pgrep -f "$program train .*--out $out/killed")" ]
echo "killed: ended after $((SECONDS - begun)) s"
last=$(($(wc -l <"$out/killed/metrics.jsonl") + 3))
processes 3 train --resume "$out/killed" --steps "$last" >"$out/resumed.log" 2>&1
[ "$(wc -l <"$out/killed/metrics.jsonl")" -eq "$last" ]
[ -e "$out/killed/summary.json" ]

# What goes on with another number of processes is what one would have done.
processes 4 train "${long[@]}" --steps 10 --out "$out/longer" >"$out/longer.log" 2>&1
processes 3 train --resume "$out/longer" --steps 20 >>"$out/longer.log" 2>&1
"$program" train "${long[@]}" --steps 10 --out "$out/alone" >"$out/alone.log" 2>&1
"$program" train --resume "$out/alone" --steps 20 >>"$out/alone.log" 2>&1
same close "$out/alone" "$out/longer"

# What is wrong is said once.
if processes 2 train --form lite --zoo nowhere.pth "${digits[@]}" --steps 2 --out "$out/wrong" >"$out/wrong.log" 2>&1; then
    exit 1
fi
[ "$(grep -c "nowhere.pth" "$out/wrong.log")" -eq 1 ] || { cat "$out/wrong.log" && exit 1; }
# And what several processes would each do for themselves is refused.
if processes 2 inspect "${zoo[0]}" >"$out/refused.log" 2>&1; then exit 1; fi
grep -q "2 processes would each do the same" "$out/refused.log"

echo "several processes train what one does"
