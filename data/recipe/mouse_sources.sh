#!/usr/bin/env bash
# Trains the sources of `demo landmarks` anew: draws pictures with exact points (examples/draw_animals.rs),
# trains a network on each kind of them, and keeps it in half precision. Takes some minutes. Neither a
# test nor the demo needs it.
#
#   bash data/recipe/mouse_sources.sh [FOLDER]
#
# Without FOLDER, the files in data/mouse are replaced.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${1:-$root/data/mouse}
mkdir -p "$out"
out=$(cd "$out" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet --bins --example draw_animals
python3 -m zipfile -e data/mouse/mouse.zip "$work/mouse"
for kind in bottom side animals faces; do
    "$target/release/examples/draw_animals" "$work/mouse" "$kind" "$work/$kind" 2400
    "$target/release/zoo-tuning" train --task landmarks --data "$work/$kind" --form scratch \
        --architecture landmarks_small --size 96 --channels 1 --mean 0.15 --std 0.15 \
        --scale 0.1 --rotation 10 --rotation-share 1 --shift 0.06 --brightness 0.05 --contrast 0.2 \
        --optimizer adam --learning-rate 0.01 --weight-decay 0 --warmup 40 --batch 12 --steps 600 \
        --validation 0.02 --seed 1 --out "$work/run-$kind"
    "$target/release/zoo-tuning" convert "$work/run-$kind/model.safetensors" "$out/$kind.safetensors" \
        --half --force
done
