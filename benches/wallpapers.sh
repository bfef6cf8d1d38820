#!/usr/bin/env bash
# Large photographs: wallpapers that Debian packages (90 MB, once). Prints the folder that has them.
#
#   benches/wallpapers.sh FOLDER
set -euo pipefail
folder=$1
if [ ! -d "$folder" ]; then
    making=$folder.making
    rm -rf "$making"
    mkdir -p "$making/unpacked"
    for package in lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 mate-backgrounds ukui-wallpapers; do
        (cd "$making" && apt-get download --quiet "$package" >&2)
        dpkg -x "$making/$package"_*.deb "$making/unpacked"
    done
    mv "$making/unpacked" "$folder"
    rm -rf "$making"
fi
echo "$folder"
