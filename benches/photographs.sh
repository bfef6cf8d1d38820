#!/usr/bin/env bash
# A folder of 2 000 photographs: reading it, measuring a network on it, tuning a zoo to it, beside
# PyTorch and torchvision. See benches/README.md.
#
#   benches/photographs.sh [FOLDER] [--only load,eval,train] [--runs N] [--epochs N] [--quick]
#
# FOLDER (default: target/photographs) takes PyTorch in a virtual environment (5 GB, once), the
# photographs, which are made of wallpapers that Debian packages (90 MB, once), and the networks. Set
# ZOO_PYTHON to a Python that has torch and torchvision to use that instead, ZOO_PICTURES to a folder of
# large JPEG photographs to make them of these, and ZOO to a program that is built already. A full run
# takes an hour and a half on two cores that do nothing else, nearly all of it `train`.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/photographs
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    folder=$1
    shift
fi
mkdir -p "$folder"
folder=$(realpath "$folder")

python=${ZOO_PYTHON:-$folder/venv/bin/python}
if [ ! -x "$python" ]; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet torch torchvision
fi
pictures=${ZOO_PICTURES:-$(bash benches/wallpapers.sh "$folder/packages")}
if [ ! -d "$folder/all" ]; then
    rm -rf "$folder/making"
    "$python" benches/photographs/make.py "$pictures" "$folder/making"
    mv "$folder/making" "$folder/all"
fi
if [ -z "${ZOO:-}" ]; then
    cargo build --release --locked --quiet
    ZOO=${CARGO_TARGET_DIR:-target}/release/zoo-tuning
fi
exec python3 benches/photographs/main.py "$folder" --ours "$(realpath "$ZOO")" --torch "$python" "$@"
