#!/usr/bin/env bash
# What else was tried on the frames of `demo landmarks`: a view to a view, the package's video, views apart.
#
#   benches/mouse.sh [FOLDER]
#
# FOLDER (default: target/mouse) takes what the demo writes, OpenCV and NumPy in a virtual environment, and the PyPI
# package lightning-pose 1.2.3, whose example has the video. Half an hour of one core; what is done is not done again. Set
# ZOO_PYTHON to a Python that has both to use that, and ZOO to a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-target/mouse}
mkdir -p "$folder"
folder=$(realpath "$folder")
python=${ZOO_PYTHON:-$folder/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet numpy opencv-python-headless
fi
wheel=$folder/lightning_pose-1.2.3-py3-none-any.whl
if [ ! -e "$wheel" ]; then
    python3 -m pip download --quiet --no-deps --dest "$folder" lightning-pose==1.2.3
fi
# As in data/recipe/mouse.sh.
echo "5f25b206039ca762651c471d38960757e6d8c0b615cea0f06b20633cb3831b41  $wheel" | sha256sum --check --quiet
if [ -z "${ZOO:-}" ]; then
    cargo build --release --locked --quiet
    ZOO=${CARGO_TARGET_DIR:-target}/release/zoo-tuning
fi
ZOO=$(realpath "$ZOO")
# The frames, the sources and the draws are the demo's.
"$ZOO" demo landmarks --seeds 5 --frames 15 --out "$folder/demo" >/dev/null
exec "$python" benches/mouse.py "$ZOO" "$folder" "$wheel"
