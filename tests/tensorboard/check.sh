#!/usr/bin/env bash
# What TensorBoard finds in the event files that are written here:
#
#   bash tests/tensorboard/check.sh [FOLDER]
#
# FOLDER (default: target/tensorboard) takes a virtual environment of 180 MB, once. Set ZOO_PYTHON to
# a Python that has tensorboard to use that instead. Takes a minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:-target/tensorboard}")
mkdir -p "$folder"

python=${ZOO_PYTHON:-$folder/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet tensorboard
fi

rm -rf "$folder/events"
ZOO_TENSORBOARD_KEEP="$folder/events" cargo test --quiet --test tensorboard
"$python" tests/tensorboard/check.py "$folder/events"
