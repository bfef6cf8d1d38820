#!/usr/bin/env bash
# Annotated pictures on their way to a network for landmarks, beside the same in Python with OpenCV on two
# processes: decoded, turned and cropped by one affine map, normalised, with a heat map for each of 68 points.
#
#   benches/crops.sh [FOLDER]
#
# FOLDER (default: target/crops) takes OpenCV and NumPy in a virtual environment, and 500 pictures of
# 1024x768, which are parts of wallpapers that Debian packages (90 MB, once). Set ZOO_PYTHON to a Python that has both to
# use that instead, ZOO_PICTURES to a folder of JPEG photographs to take these, and ZOO to a program that is
# built already.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-target/crops}
mkdir -p "$folder"
folder=$(realpath "$folder")

python=${ZOO_PYTHON:-$folder/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet numpy opencv-python-headless
fi
pictures=${ZOO_PICTURES:-$(bash benches/wallpapers.sh "$folder/packages")}
if [ ! -d "$folder/faces" ]; then
    rm -rf "$folder/making"
    "$python" benches/crops.py make "$pictures" "$folder/making"
    mv "$folder/making" "$folder/faces"
fi
if [ -z "${ZOO:-}" ]; then
    cargo build --release --locked --quiet
    ZOO=${CARGO_TARGET_DIR:-target}/release/zoo-tuning
fi
exec "$python" benches/crops.py compare "$folder/faces/points.csv" "$(realpath "$ZOO")"
