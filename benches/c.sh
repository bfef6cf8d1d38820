#!/usr/bin/env bash
# What the library for C costs: a ResNet-50 on one image of 224x224, beside the same in Rust, in turn in one run.
#
#   bash benches/c.sh [REPEATS]
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
folder=$target/c-bench
export CARGO_TARGET_DIR=$target
cargo build --quiet --release --locked -p zoo-tuning-c --lib --example inference
make --silent -C bindings/c install PROFILE=release PREFIX="$folder"
cc -O2 -std=c11 -I "$folder/include" benches/c.c -L "$folder/lib" -lzootuning -Wl,-rpath,"$folder/lib" \
    -o "$folder/inference"
"$target/release/examples/inference" write "$folder/resnet50.safetensors"
python3 benches/c.py "$folder/inference" "$target/release/examples/inference" "$folder/resnet50.safetensors" \
    "${1:-20}"
