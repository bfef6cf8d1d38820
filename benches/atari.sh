#!/usr/bin/env bash
# Agents of Atari tuned as a zoo to other games: hours. What is done already is kept, and what was stopped
# goes on, so that it can be given an hour at a time:
#
#   bash benches/atari.sh FOLDER             # sources, then targets, then the table
#   bash benches/atari.sh FOLDER scratch     # one game from scratch alone: GAME=up_n_down
#
# Needs Python with ale-py and numpy: PYTHON=... (docs/environments.md). SOURCES, TARGETS, SEEDS, STEPS of a
# target, and SOURCE_STEPS change the work; JOBS agents learn side by side, each on one thread.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=$(realpath -m "${1:?the folder of what is made}")
what=${2:-all}
zoo=${ZOO:-${CARGO_TARGET_DIR:-target}/release/zoo-tuning}
python=${PYTHON:-python3}
read -ra sources <<<"${SOURCES:-seaquest riverraid up_n_down}"
read -ra targets <<<"${TARGETS:-alien gopher jamesbond}"
read -ra seeds <<<"${SEEDS:-1 2 3}"
steps=${STEPS:-100000}
source_steps=${SOURCE_STEPS:-300000}
jobs=${JOBS:-2}
mkdir -p "$out"

# learn NAME GAME SEED STEPS [ARGUMENTS]: an agent in `$out/NAME`, unless it is there.
learn() {
    local folder=$out/$1 game=$2 seed=$3 length=$4
    shift 4
    [ ! -f "$folder/summary.json" ] || return 0
    if [ -f "$folder/checkpoint.safetensors" ]; then
        "$zoo" rl train --resume "$folder"
    else
        rm -rf "$folder"
        "$zoo" rl train "atari:$game" --preset data-efficient-rainbow --seed "$seed" \
            --total-steps "$length" --threads 1 --python "$python" --epochs 4 --episodes 5 \
            --test-episodes 100 --out "$folder" "$@"
    fi >"$folder.log" 2>&1 || { echo "$folder: $(tail -n 1 "$folder.log")" >&2 && return 1; }
}

# Waits until another agent may begin.
room() {
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
}

# Waits for all; one that failed has said why, and ends the script.
all() {
    while [ -n "$(jobs -rp)" ]; do wait -n; done
}

# The rows of a game: mean and interquartile mean of 100 episodes of each seed.
table() {
    "$python" - "$out" "$@" <<'END'
import json
import pathlib
import statistics
import sys

out, *names = sys.argv[1:]
print("| agent | seeds | return | of each seed | interquartile mean | updates a second |")
print("|---|---|---|---|---|---|")
for name in names:
    found = [json.loads(f.read_text()) for f in sorted(pathlib.Path(out).glob(f"{name}-[0-9]*/summary.json"))]
    if not found:
        print(f"| {name} | 0 | not run | | | |")
        continue
    returns = [run["test"]["return"] for run in found]
    middle = statistics.mean(run["test"]["IQM"] for run in found)
    rate = statistics.mean(run["steps"] / run["seconds"] for run in found)
    each = ", ".join(f"{value:.0f}" for value in returns)
    print(f"| {name} | {len(found)} | {statistics.mean(returns):.0f} | {each} | {middle:.0f} | {rate:.0f} |")
END
}

if [ "$what" = scratch ]; then
    game=${GAME:-up_n_down}
    for seed in "${seeds[@]}"; do
        room
        learn "$game-scratch-$seed" "$game" "$seed" "$steps" --form scratch &
    done
    all
    table "$game-scratch"
    exit
fi

zoo_files=()
for source in "${sources[@]}"; do
    room
    learn "source-$source-1" "$source" 1 "$source_steps" --form scratch &
    zoo_files+=("$out/source-$source-1/model.safetensors")
done
all
table "${sources[@]/#/source-}"
for target in "${targets[@]}"; do
    for seed in "${seeds[@]}"; do
        room
        learn "$target-scratch-$seed" "$target" "$seed" "$steps" --form scratch &
        for form in zoo lite; do
            room
            learn "$target-$form-$seed" "$target" "$seed" "$steps" --form "$form" --zoo "${zoo_files[@]}" &
        done
        for source in "${sources[@]}"; do
            room
            learn "$target-single-$source-$seed" "$target" "$seed" "$steps" --form single \
                --zoo "$out/source-$source-1/model.safetensors" &
        done
    done
    all
    table "$target-scratch" "${sources[@]/#/$target-single-}" "$target-zoo" "$target-lite"
done
