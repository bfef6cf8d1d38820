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
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
device=${1:-opencl:0}
cargo build --release --quiet --features opencl
zoo=${CARGO_TARGET_DIR:-target}/release/zoo-tuning

"$zoo" devices
"$zoo" bench gemm --device "$device" | tee /dev/stderr | sed -n 's/.*"gemm":1024,"gflops":\([0-9.]*\).*/gemm \1/p'

# The times of a key, one a line.
times() {
    local key=$1
    shift
    "$zoo" bench "$@" | tee /dev/stderr | sed -n "s/.*\"$key\":\([0-9.]*\).*/\1/p"
}
# The geometric mean of the device's times as parts of the processor's, for the work that follows
# on the name and the key. One after the other: at once they would slow each other down.
ratio() {
    local name=$1 key=$2 there here
    shift 2
    there=$(times "$key" "$@" --device "$device")
    here=$(times "$key" "$@" --device cpu)
    paste <(echo "$there") <(echo "$here") |
        awk -v name="$name" '{ sum += log($1 / $2) } END { printf "%s %.2f\n", name, exp(sum / NR) }'
}
ratio conv fwdbwd_ms conv
ratio step seconds step --kind zoo --depth 18 --size 64 --batch 16
