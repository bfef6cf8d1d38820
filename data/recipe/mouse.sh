#!/usr/bin/env bash
# Makes data/mouse/mouse.zip anew: obtains the PyPI package lightning-pose 1.2.3 (MIT), takes the 90 labelled
# frames of its example, and makes them smaller. Needs Python with pip. Neither a test nor the demo
# needs it.
#
#   bash data/recipe/mouse.sh [FILE]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${1:-$root/data/mouse/mouse.zip}
sum=5f25b206039ca762651c471d38960757e6d8c0b615cea0f06b20633cb3831b41

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==12.0.0
"$work/venv/bin/pip" download --quiet --no-deps --dest "$work" lightning-pose==1.2.3
wheel=$work/lightning_pose-1.2.3-py3-none-any.whl
echo "$sum  $wheel" | sha256sum --check --quiet
"$work/venv/bin/python" "$root/data/recipe/mouse.py" "$wheel" "$out"
