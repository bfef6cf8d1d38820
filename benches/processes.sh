#!/usr/bin/env bash
# Two processes of one thread each beside one process of two threads: a step of ResNet-18, 64x64, batch 32, plain and
# as lite zoo of three.
#
#   benches/processes.sh [PROGRAM [RUNS]]
#
# Needs Open MPI's mpirun, and a program built with --features mpi: target/release/zoo-tuning, unless
# another is named. Prints for each the seconds of a step, and the median of the ratios of runs side by side.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${1:-target/release/zoo-tuning}
runs=${2:-5}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# Three networks of drawn values, under torchvision's names.
python3 - "$out" <<'END'
import array, json, random, struct, sys
def tensors():
    def norm(name, c):
        for part, fill in ("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1):
            yield f"{name}.{part}", [c], fill
    yield "conv1.weight", [64, 1, 7, 7], None
    yield from norm("bn1", 64)
    inside = 64
    for layer, c in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            for number, i in (1, inside), (2, c):
                yield f"{name}.conv{number}.weight", [c, i, 3, 3], None
                yield from norm(f"{name}.bn{number}", c)
            if inside != c:
                yield f"{name}.downsample.0.weight", [c, inside, 1, 1], None
                yield from norm(f"{name}.downsample.1", c)
            inside = c
    yield "fc.weight", [10, 512], None
    yield "fc.bias", [10], 0
for seed in 1, 2, 3:
    draw, header, values = random.Random(seed), {}, array.array("f")
    for name, shape, fill in tensors():
        count = 1
        for side in shape:
            count *= side
        deviation = (2 / max(1, count // shape[0])) ** 0.5
        begin = 4 * len(values)
        values.extend(draw.gauss(0, deviation) for _ in range(count)) if fill is None else values.extend([fill] * count)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, 4 * len(values)]}
    text = json.dumps(header).encode()
    with open(f"{sys.argv[1]}/{seed}.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + values.tobytes())
END

# Seconds of so many steps, from the second on.
seconds() {
    local kind=$1 form=$2 steps=$3 folder=$out/run
    shift 3
    rm -rf "$folder"
    local start=("$program")
    if [ "$kind" = two ]; then
        start=(mpirun -n 2 --oversubscribe --bind-to none "$program")
    fi
    "${start[@]}" train --threads "$([ "$kind" = two ] && echo 1 || echo 2)" --form "$form" --zoo "$@" --start plain \
        --gate-prior off --data data/digits/digits.csv.gz --size 64 --shots 64 --batch 32 --lr 0.001 --steps "$steps" \
        --validation 0 --log-every 1 --checkpoint-every 1000000 --json --out "$folder" 2>/dev/null |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["seconds"])'
}

for form in single lite; do
    files=("$out/1.safetensors")
    [ "$form" = lite ] && files=("$out"/[123].safetensors)
    for ((run = 0; run < runs; run++)); do
        line=()
        for kind in one two; do
            line+=("$(seconds $kind $form 4 "${files[@]}")" "$(seconds $kind $form 24 "${files[@]}")")
        done
        echo "${line[@]}"
    done | python3 -c '
import statistics, sys
rows = [[float(v) for v in line.split()] for line in sys.stdin]
steps = [((b - a) / 20, (d - c) / 20) for a, b, c, d in rows]
one, two = (statistics.median(v) for v in zip(*steps))
efficiency = statistics.median(a / b for a, b in steps)
print(f"'"$form"': one process {one:.3f} s, two {two:.3f} s, efficiency {efficiency:.2f}",
      [round(a / b, 2) for a, b in steps])'
done
