#!/bin/sh
# Compares Atari here with Gymnasium's AtariPreprocessing, and what a step costs with what the emulator
# costs alone. Makes an environment of Python for that in the folder that is named, or target/python.
#
#   bash tests/environments/check.sh [FOLDER]
set -eu
cd "$(dirname "$0")/../.."
python=${1:-target/python}
if [ ! -x "$python/bin/python" ]; then
    python3 -m venv "$python"
    "$python/bin/python" -m pip install -q ale-py numpy gymnasium opencv-python-headless minatar
fi
export ZOO_PYTHON="$python/bin/python"
cargo build --release --no-default-features --features train --example environments
"$ZOO_PYTHON" tests/environments/check.py "${CARGO_TARGET_DIR:-target}/release/examples/environments"
