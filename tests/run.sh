#!/usr/bin/env bash
# Everything that is tested, with its own set-up, from a fresh clone:
#
#   bash tests/run.sh
#   bash tests/run.sh --quick   # what a change wants to know: minutes, and nothing is installed
#
# Needs a Rust toolchain, Node.js 20 with npm, Python 3.10, and, where there is no Chromium, no OpenCL, no MPI or
# no `venv` of Python yet, the right to install them by apt-get. A check that fails does not keep the others
# from running. The last line is `N passed, M failed`: the results of `cargo test`, and one for each other
# check. What the demo wrote stays in `target/run`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}
out=$target/run
browser=${CHROMIUM:-/usr/bin/chromium}
passed=0
failures=()

log=$(mktemp)
trap 'rm -f "$log"' EXIT
mkdir -p "$out"
rm -rf "${out:?}"/*

# Runs the arguments after the first, which is their name.
run() {
    local name=$1 begun=$SECONDS status
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    printf -- '-- %s: exit code %d, %d s\n' "$name" "$status" "$((SECONDS - begun))"
    return "$status"
}

# One check.
check() {
    if run "$@"; then
        passed=$((passed + 1))
    else
        failures+=("$1")
    fi
}

# As many checks as `cargo test` says there were.
check_tests() {
    local name=$1 status=0 right wrong
    run "$@" || status=$?
    read -r right wrong < <(awk '
        /^test result: / {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) right += $(i - 1)
                if ($i ~ /^failed/) wrong += $(i - 1)
            }
        }
        END { print right + 0, wrong + 0 }' "$log")
    passed=$((passed + right))
    # What does not compile, or dies of a signal, has no result.
    if [ "$wrong" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$right" -eq 0 ]; }; then
        failures+=("$name")
    fi
    for ((; wrong > 0; wrong--)); do
        failures+=("a test of: $name")
    done
}

# Says what came of it all, and ends.
finish() {
    local failure
    printf '\n%d s\n' "$SECONDS"
    for failure in "${failures[@]}"; do
        printf 'failed: %s\n' "$failure"
    done
    printf '%d passed, %d failed\n' "$passed" "${#failures[@]}"
    [ ${#failures[@]} -eq 0 ]
    exit
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

set_up() {
    local packages=()
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    [ -x "$browser" ] || packages+=(chromium fonts-dejavu-core)
    # PoCL makes an OpenCL device of the processor.
    compgen -G "/etc/OpenCL/vendors/*.icd" >/dev/null || packages+=(pocl-opencl-icd)
    echo 'int main(void) { return 0; }' | cc -x c - -lOpenCL -o /dev/null 2>/dev/null ||
        packages+=(ocl-icd-opencl-dev)
    command -v mpirun >/dev/null && command -v mpicc >/dev/null || packages+=(openmpi-bin libopenmpi-dev)
    # By it, what MPI's header declares is read.
    compgen -G "/usr/lib/llvm-*/lib/libclang.so" >/dev/null || packages+=(libclang-dev)
    command -v pkg-config >/dev/null || packages+=(pkg-config)
    command -v make >/dev/null || packages+=(make)
    command -v valgrind >/dev/null || packages+=(valgrind)
    python3 -c "import ensurepip, venv" 2>/dev/null || packages+=(python3-venv)
    if [ ${#packages[@]} -gt 0 ]; then
        as_root apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive as_root apt-get install -qq -y --no-install-recommends \
                "${packages[@]}" || return
    fi
    cargo fmt --version || rustup component add rustfmt || return
    cargo clippy --version || rustup component add clippy || return
    (cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund)
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --features opencl,mpi
}

# The library without the command line stays small.
few_dependencies() {
    local count
    count=$(cargo tree --no-default-features -e normal --prefix none --locked |
        sed 's/ (\*)$//' | sort -u | wc -l)
    echo "$count crates, the library itself among them"
    [ "$count" -gt 1 ] && [ "$count" -lt 30 ]
}

# What a user of the published crate would get is enough to build it.
package() {
    local files file
    files=$(cargo package --list --allow-dirty) || return
    echo "$(wc -l <<<"$files") files"
    for file in Cargo.toml Cargo.lock LICENSE-APACHE LICENSE-MIT README.md src/lib.rs src/main.rs \
        $(git ls-files 'src/*' 'examples/*.rs' 'data/zoo/*.safetensors' 'data/digits/*.gz' 'data/mouse/*.zip' \
        'data/mouse/*.safetensors' 'data/games/*.safetensors' 'opencl/*.cl'); do
        grep -qxF "$file" <<<"$files" || { echo "$file is missing" && return 1; }
    done
    [ -z "$(grep -E '^(tests|docs|\.ci|\.github)/' <<<"$files")" ]
}

demo() {
    zoo demo --seeds 1 --shots 10 --epochs 2 --threads 2 --json --out "$out/demo" \
        >"$out/demo.json"
}

# The program that the tests built. `cargo run` would build all of it anew, since without the tests
# some dependencies have fewer features.
zoo() {
    "$target/debug/zoo-tuning" "$@"
}

sources() {
    # They are the files that their description is about.
    for folder in data/zoo data/mouse data/games; do
        (cd "$folder" && grep -E '^ *[0-9a-f]{64}  ' ORIGIN.md | sed 's/^ *//' | sha256sum --check) || return
    done
    zoo inspect data/zoo/*.safetensors | tail -n 1 | grep "these 4 files form a zoo"
}

# The numbers for a program: valid JSON, whole, and the same as beside the page.
numbers() {
    node - "$out/demo.json" "$out/demo/results.json" <<'END'
const { readFileSync } = require("node:fs");
const [printed, written] = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file)));
const problems = [];
if (JSON.stringify(printed) !== JSON.stringify(written)) problems.push("two results");
const kinds = new Set(printed.methods.map((method) => method.kind));
for (const kind of ["scratch", "single", "ensemble", "average", "zoo", "lite", "collapsed"]) {
  if (!kinds.has(kind)) problems.push(`no method of kind ${kind}`);
}
for (const { name, mean, runs, parameters, multiply_adds, bytes } of printed.methods) {
  if (!(mean >= 0 && mean <= 1)) problems.push(`${name}: accuracy ${mean}`);
  if (runs.length !== 1) problems.push(`${name}: ${runs.length} runs of one seed`);
  if (!(parameters > 0 && multiply_adds > 0 && bytes > 0)) problems.push(`${name}: no size`);
}
if (!(printed.collapse_error < 1e-5)) problems.push(`collapse error ${printed.collapse_error}`);
for (const problem of problems) console.error(problem);
console.log(`${printed.methods.length} methods, collapse error ${printed.collapse_error}`);
process.exit(problems.length ? 1 : 0);
END
}

page() {
    node tests/browser/check.mjs "$out/demo/report.html" "$out/screenshots"
}

# A zoo and a lite one, each with its page, and both side by side.
runs() {
    local form folder="$out/runs" inside="scores,training,sources,gates,images,alignment"
    for form in zoo lite; do
        zoo train --form "$form" --zoo data/zoo/*.safetensors --data data/digits/digits.csv.gz \
            --shots 4 --epochs 4 --test 0.1 --threads 2 --out "$folder/$form" || return
    done
    zoo report "$folder/zoo" "$folder/lite" --out "$folder/both.html" || return
    node tests/browser/check.mjs "$folder/zoo/report.html" "$folder/zoo-shots" \
        "$inside,settings" &&
        node tests/browser/check.mjs "$folder/lite/report.html" "$folder/lite-shots" \
            "$inside,averages,settings" &&
        node tests/browser/check.mjs "$folder/both.html" "$folder/both-shots" \
            "scores,differences,training,gates,alignment,settings"
}

# The demo of landmarks at its smallest, and its page.
demo_landmarks() {
    rm -rf "$out/mouse"
    zoo demo landmarks --seeds 1 --frames 4 --steps 4 --threads 2 --out "$out/mouse" || return
    node tests/browser/check.mjs "$out/mouse/report.html" "$out/mouse-shots" \
        "result,points,curves,pictures,sources,gates,settings"
}

# The demo of games at its smallest, and its page; asked again, it goes on with what it has.
demo_games() {
    local turn
    rm -rf "$out/games"
    for turn in first second; do
        echo "$turn"
        zoo demo games --seeds 1 --games dive --steps 1000 --threads 2 --out "$out/games" || return
    done
    node tests/browser/check.mjs "$out/games/report.html" "$out/games-shots" \
        "result,curves,episodes,sources,gates,settings"
}

# A comparison, and its page.
comparison() {
    rm -rf "$out/compared"
    zoo compare --zoo data/zoo/*.safetensors --data data/digits/digits.csv.gz --shots 4 --epochs 2 \
        --seeds 2 --methods single,matched,lite --jobs 2 --test 0.1 --threads 2 \
        --out "$out/compared" || return
    node tests/browser/check.mjs "$out/compared/report.html" "$out/compared-shots" \
        "result,methods,scores,runs,settings"
}

# The page of `serve`, of the zoo that was trained for its page, used in a browser.
served() {
    local address process status
    coproc SERVE { exec "$target/debug/zoo-tuning" serve --port 0 --json "$out/runs/zoo/model.safetensors"; }
    process=$SERVE_PID
    read -r address <&"${SERVE[0]}"
    address=${address#*http} && address=http${address%\"*}
    node tests/browser/serve.mjs "$address" tests/pictures/photo.png "$out/serve-shots"
    status=$?
    kill "$process"
    return "$status"
}

# Every network that the demo wrote is read again, and the collapsed one used.
networks() {
    local file count=0
    for file in "$out"/demo/compared/seed-1/{,*/}*.safetensors; do
        zoo inspect --json "$file" >"$out/inspect.json" || return
        node -e 'JSON.parse(require("node:fs").readFileSync(process.argv[1]))' \
            "$out/inspect.json" || return
        count=$((count + 1))
    done
    echo "$count files"
    zoo eval "$out/demo/compared/seed-1/collapsed.safetensors" --data data/digits/digits.csv.gz || return
    [ "$count" -ge 8 ]
}

# Whether each feature is enough for what it promises. Nothing of it is run or linked, and to compile
# the library five times more took half as long as all tests: it is checked as a compiler checks it.
features() {
    local feature
    for feature in train report cli serve opencl mpi; do
        echo "$feature"
        cargo check --no-default-features --features "$feature" --locked || return
    done
}

if [ "${1:-}" = --quick ]; then
    check "format" cargo fmt --check
    check "clippy" cargo clippy --all-targets -- -D warnings
    check_tests "tests" cargo test --lib --test house --test golden --test method \
        --test architectures --test files
    finish
fi

# Nothing here is built a second time, and what that would need is gigabytes. A panic says its line
# without tables of lines, which take their time too.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0

check "set-up" set_up
check "format" cargo fmt --check
# Of the modules for Python and C too.
check "clippy" cargo clippy --workspace --all-targets --features opencl,mpi --locked -- -D warnings
# Of what the feature leaves out, or has twice.
check "clippy without devices" cargo clippy --all-targets --locked -- -D warnings
check "features" features
check "clippy of the library" cargo clippy --all-targets --no-default-features -- -D warnings
check "documentation" documentation
check "dependencies of the library" few_dependencies
check "contents of the package" package
# Five seconds of damaged files for each reader.
ZOO_FUZZ_SECONDS=5 check_tests "tests" cargo test --features opencl,mpi --no-fail-fast
# Each once, and not timed.
check "benches" cargo test --features opencl,mpi --bench kernels
# The products of other processors, by the same programs.
on_isa() {
    ZOO_ISA=$1 "${@:2}"
}
for isa in matrixmultiply portable; do
    check_tests "golden values by $isa" on_isa "$isa" cargo test --features opencl,mpi --test golden
    check "gradients by $isa" on_isa "$isa" zoo gradcheck
done
for example in examples/*.rs; do
    name=$(basename "$example" .rs)
    # They make data, or compare, from files that are not kept here.
    case $name in train_sources | draw_animals | logits) continue ;; esac
    check "example $name" cargo run --quiet --features opencl,mpi --example "$name"
done
check "book" bash tests/book/check.sh
check "sources of the demo" sources
check "gradients" zoo gradcheck
check "devices" zoo devices --check
check "demo" demo
check "numbers of the demo" numbers
check "page of the demo" page
check "pages of runs" runs
check "page that serves" served
check "page of a comparison" comparison
check "demo of landmarks" demo_landmarks
check "demo of games" demo_games
check "networks of the demo" networks
check "several processes" bash tests/mpi/check.sh
# Other crates, whose features are not those of tests: for each the library is built anew.
check "Python" bash tests/python/check.sh
check "C" bash tests/c/check.sh
# Last, since the library without the command line is built anew. What lies in `tests` was compiled
# against it by clippy, and runs the same code as above.
check_tests "tests of the library" cargo test --no-default-features --no-fail-fast --lib

finish
