#!/usr/bin/env bash
# Trains the agents of `demo games` anew, one after the other: minutes of two cores.
#
#   bash data/recipe/games.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=${1:-$(mktemp -d)}
cargo build --release
zoo=${CARGO_TARGET_DIR:-target}/release/zoo-tuning
for game in catch bricks cross; do
    # Small matrices: a thread of its own for each is faster than several for one.
    "$zoo" rl train "$game" --form scratch --total-steps 1000000 --keep last --threads 1 \
        --out "$work/$game" &
done
wait
for game in catch bricks cross; do
    "$zoo" convert "$work/$game/model.safetensors" "data/games/$game.safetensors" --half --force
    "$zoo" rl eval "data/games/$game.safetensors" --episodes 1000
done
