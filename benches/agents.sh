#!/usr/bin/env bash
# Steps a second of an agent on a small board, here and in PyTorch, side by side on one thread:
#
#   bash benches/agents.sh            # needs Python with torch and numpy: PYTHON=...
#
# An update every step, and one every four; then the lite zoo and the zoo of three. At last the data-efficient
# Rainbow on two threads. Each is measured three times in turn; the median counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

zoo=${ZOO:-${CARGO_TARGET_DIR:-target}/release/zoo-tuning}
python=${PYTHON:-python3}
steps=${STEPS:-20000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The first number over the second, in a format.
ratio() {
    "$python" -c "print('$1' % (($2) / ($3)))"
}

median() {
    sort -n | sed -n 2p
}

# Steps a second of a run, measured between two lengths, so that what comes before and after a training does
# not count. Nearly all actions are the network's.
ours() {
    local environment=$1 steps=$2 every=$3 short=$(($2 / 4)) seconds=()
    shift 3
    for length in $short $((short + steps)); do
        rm -rf "$work/run"
        "$zoo" rl train "$environment" --total-steps "$((length + 1000))" --learning-starts 1000 \
            --train-every "$every" --epsilon-start 0.01 --epsilon-end 0.01 --epochs 1 \
            --episodes 1 --test-episodes 1 --longest 200 --log-every 100000 --checkpoint-every 100000000 "$@" \
            --out "$work/run" >"$work/log" 2>&1 || { cat "$work/log" >&2 && return 1; }
        seconds+=("$("$python" -c "import json; print(json.load(open('$work/run/summary.json'))['seconds'])")")
    done
    ratio "%.0f" "$steps" "${seconds[1]} - ${seconds[0]}"
}

agents=(data/games/*.safetensors)
for every in 1 4; do
    for form in single lite zoo; do
        of_us=() of_torch=()
        case $form in
            single) arguments=(--form single --zoo "${agents[0]}") ;;
            *) arguments=(--form "$form" --zoo "${agents[@]}") ;;
        esac
        for _ in 1 2 3; do
            of_us+=("$(ours catch "$steps" $every --threads 1 "${arguments[@]}")")
            [ "$form" != single ] || of_torch+=("$("$python" benches/agents.py minatar "$steps" $every)")
        done
        here=$(printf '%s\n' "${of_us[@]}" | median)
        line="an update every $every steps, $form: $here steps a second"
        if [ "$form" = single ]; then
            single=$here
            there=$(printf '%s\n' "${of_torch[@]}" | median)
            line+=", PyTorch $there, time $(ratio "%.2f" "$there" "$here")"
        else
            line+=", time $(ratio "%.2f" "$single" "$here") of the single's"
        fi
        echo "$line"
    done
done

few=$((steps / 20))
of_us=() of_torch=()
for _ in 1 2 3; do
    of_us+=("$(ours bricks:pixels $few 1 --threads 2 --preset data-efficient-rainbow --form scratch)")
    of_torch+=("$("$python" benches/agents.py rainbow $few 1 2)")
done
here=$(printf '%s\n' "${of_us[@]}" | median)
there=$(printf '%s\n' "${of_torch[@]}" | median)
echo "data-efficient Rainbow, two threads: $here steps a second, PyTorch $there, time $(ratio "%.2f" "$there" "$here")"
