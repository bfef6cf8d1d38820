#!/usr/bin/env bash
# What other programs think of the files that are written here, and of damaged ones:
#
#   bash tests/formats/check.sh [FOLDER]
#
# FOLDER (default: target/open_zoo, as benches/open_zoo.sh) takes a virtual environment of 5 GB,
# once. Set ZOO_PYTHON to a Python that has torch, torchvision, numpy, safetensors, onnx and
# onnxruntime to use that instead. Takes about ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-target/open_zoo}")
mkdir -p "$folder"

python=${ZOO_PYTHON:-$folder/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet \
        torch torchvision numpy safetensors onnx onnxruntime
fi

cargo build --release --quiet
"$python" tests/formats/check_export.py target/release/zoo-tuning
cargo run --release --quiet --example export_onnx -- "$folder/onnx" resnet18 resnet50
"$python" tests/formats/check_onnx.py "$folder/onnx"
rm -rf "$folder/damaged"
ZOO_FUZZ_KEEP="$folder/damaged" ZOO_FUZZ_CASES=${CASES:-300} \
    cargo test --quiet --test fuzz every_reader
for reader in safetensors npy npz pickle pytorch-zip pytorch-legacy pytorch-tar; do
    "$python" tests/formats/differential.py "$folder/damaged/$reader"
done
