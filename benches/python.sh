#!/usr/bin/env bash
# What the module for Python costs: a step beside one in Rust, in turn in one run; its import; its wheel.
#
#   bash benches/python.sh [REPEATS]
#
# Builds the wheel as it is published, into an environment of its own in target/python. With ZOO_TORCH, a
# Python that has torch, a zoo's logits are compared with torch's too.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
folder=$target/python
export CARGO_TARGET_DIR=$target
if [ ! -x "$folder/tools/bin/maturin" ]; then
    python3 -m venv "$folder/tools"
    "$folder/tools/bin/pip" install --quiet "maturin>=1.9.4,<2" mypy numpy pytest nbclient ipykernel
fi
rm -rf "$folder/release" "$folder/bench"
"$folder/tools/bin/maturin" build --quiet --release --locked --manifest-path bindings/python/Cargo.toml \
    --interpreter "$folder/tools/bin/python" --out "$folder/release"
PYO3_PYTHON=$folder/tools/bin/python cargo build --quiet --release --locked -p zoo-tuning-python --example steps
python3 -m venv "$folder/bench"
"$folder/bench/bin/pip" install --quiet "$folder"/release/*.whl
"$folder/bench/bin/python" benches/python.py "$target/release/examples/steps" "$folder"/release/*.whl "${1:-20}"
if [ -n "${ZOO_TORCH:-}" ]; then
    # The wheel's files, beside what that Python has.
    rm -rf "$folder/unpacked" && mkdir "$folder/unpacked"
    "$folder/bench/bin/python" -m zipfile -e "$folder"/release/*.whl "$folder/unpacked"
    PYTHONPATH=$folder/unpacked "$ZOO_TORCH" tests/python/torch_check.py
fi
