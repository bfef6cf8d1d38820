#!/usr/bin/env bash
# How fast a device is, and beside it the processor on the same work, one after the other in one run:
#
#   bash benches/device.sh [opencl:0]
#
# Three numbers, each with what it follows from:
#   gemm   GFLOP/s of a product of 1024 x 1024 on the device
#   conv   time on the device as a part of the processor's, forward and backward pass, the
#          geometric mean of the convolutions of `bench conv`
#   step   the same of a training step, a zoo of five ResNet-18, 16 images of 64 x 64
#
# Where the device is a graphics card, more, without the processor, which would take minutes:
#   gemm4096  GFLOP/s of a product of 4096 x 4096
#   step50    seconds of a training step of a ResNet-50, of a lite zoo of five and of a zoo of five,
#             8 images of 224 x 224
# and, if $ZOO_PYTHON (default: python3) has PyTorch with CUDA, the same of PyTorch's, in f32.
#
# $ZOO is a program that is built already, for a machine without a compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
device=${1:-opencl:0}
zoo=${ZOO:-}
if [ -z "$zoo" ]; then
    cargo build --release --quiet --features opencl
    zoo=${CARGO_TARGET_DIR:-target}/release/zoo-tuning
fi

"$zoo" devices "${device#opencl:}"

# The values of a key that a bench prints, one a line.
values() {
    local key=$1
    shift
    "$@" | tee /dev/stderr | sed -n "s/.*\"$key\": *\([0-9.]*\).*/\1/p"
}
printf 'gemm %s\n' "$(values gflops "$zoo" bench gemm --n 1024 --device "$device")"

# The geometric mean of the device's times as parts of the processor's, for the work that follows
# on the name and the key. One after the other: at once they would slow each other down.
ratio() {
    local name=$1 key=$2 there here
    shift 2
    there=$(values "$key" "$zoo" bench "$@" --device "$device")
    here=$(values "$key" "$zoo" bench "$@" --device cpu)
    paste <(echo "$there") <(echo "$here") |
        awk -v name="$name" '{ sum += log($1 / $2) } END { printf "%s %.2f\n", name, exp(sum / NR) }'
}
ratio conv fwdbwd_ms conv
ratio step seconds step --kind zoo --depth 18 --size 64 --batch 16

"$zoo" devices "${device#opencl:}" --json | grep -q '"variant":"local"' || exit 0
python=${ZOO_PYTHON:-python3}
has_cuda() { "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; }
# A key of a work on the card: ours, and PyTorch's if it is there.
beside() {
    local name=$1 key=$2
    shift 2
    printf '%s %s\n' "$name" "$(values "$key" "$zoo" bench "$@" --device "$device")"
    if has_cuda; then
        printf '%s of PyTorch %s\n' "$name" \
            "$(values "$key" "$python" benches/compare/pytorch.py "$@" --device cuda)"
    fi
}
beside gemm4096 gflops gemm --n 4096
for kind in single lite zoo; do
    beside "step50 $kind" seconds step --kind "$kind" \
        --depth 50 --size 224 --batch 8 --runs 7
done
