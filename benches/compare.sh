#!/usr/bin/env bash
# Ours beside PyTorch, and beside candle's convolutions: who is faster, by how much, and by how
# much it should be. See benches/README.md.
#
#   benches/compare.sh [FOLDER] [--only gemm,conv,...] [--runs N | --quick] [--json FILE] [--svg FILE]
#
# FOLDER (default: target/compare) takes PyTorch in a virtual environment (5 GB, once), matplotlib,
# and candle's program. Set ZOO_PYTHON to a Python that has torch to use that instead. `--help`
# lists the parts. A full run takes about 25 minutes on two cores that do nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/compare
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    folder=$1
    shift
fi
for argument in "$@"; do
    case $argument in -h | --help) exec python3 benches/compare/main.py --help ;; esac
done
mkdir -p "$folder"
folder=$(realpath "$folder")

say() { printf '%s\n' "$*" >&2; }

python=${ZOO_PYTHON:-$folder/venv/bin/python}
has_torch() { "$python" -c 'import torch' 2>/dev/null; }
if ! has_torch && [ -z "${ZOO_PYTHON:-}" ]; then
    say "installing PyTorch in $folder/venv"
    { python3 -m venv "$folder/venv" && "$python" -m pip install --quiet torch torchvision numpy; } || true
fi
others=()
if has_torch; then
    others+=(--torch "$python")
else
    say "$python has no PyTorch: only ours is measured"
fi
# Apart from the environment, which may be somebody's.
if ! [ -d "$folder/plot" ]; then
    say "installing matplotlib in $folder/plot"
    "$python" -m pip install --quiet --target "$folder/plot" matplotlib || say "there will be no plot"
fi

say "building"
cargo build --release --locked --quiet
# For this very processor, as candle's own repository builds it. Ours chooses as it runs.
if RUSTFLAGS="-C target-cpu=native" cargo build --release --locked --quiet \
    --manifest-path benches/compare/candle/Cargo.toml --target-dir "$folder/candle"; then
    others+=(--candle "$folder/candle/release/candle-conv")
else
    say "candle could not be built, and is left out"
fi
PYTHONPATH=benches/compare exec python3 benches/compare/main.py \
    --folder "$folder" --ours "${CARGO_TARGET_DIR:-target}/release/zoo-tuning" "${others[@]}" "$@"
