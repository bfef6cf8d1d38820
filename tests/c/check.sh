#!/usr/bin/env bash
# The library for C: its header, its symbols, its example, mistakes and threads under valgrind and sanitizers.
#
#   bash tests/c/check.sh
#
# Needs a C compiler, make and pkg-config; valgrind, where there is one. The library is built as tests are, and
# installed into target/c.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
folder=$target/c
export CARGO_TARGET_DIR=$target
rm -rf "$folder" && mkdir -p "$folder"

cargo fmt --check -p zoo-tuning-c
cargo test --quiet -p zoo-tuning-c --locked
# With the tests, so that it is the library that was made for them.
make --silent -C bindings/c install PROFILE=dev CARGOFLAGS=--tests PREFIX="$folder"

# Nothing but what the header has.
exported=$(nm -D --defined-only "$folder/lib/libzootuning.so" | awk '{ print $3 }' | sort)
declared=$(grep -oE '\bzoo_[a-z_]+\(' bindings/c/include/zoo_tuning.h | tr -d '(' | sort -u)
if [ "$exported" != "$declared" ]; then
    diff <(echo "$declared") <(echo "$exported")
    exit 1
fi
# A program of C++ reads the header, too.
echo '#include <zoo_tuning.h>' | cc -x c -std=c99 -Wall -Werror -pedantic -I "$folder/include" -fsyntax-only -
if command -v c++ >/dev/null; then
    echo '#include <zoo_tuning.h>' | c++ -x c++ -Wall -Werror -I "$folder/include" -fsyntax-only -
fi

export PKG_CONFIG_PATH=$folder/lib/pkgconfig
[ "$(pkg-config --modversion zootuning)" = "$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)" ]
cp bindings/c/example/* "$folder/" && make --silent -C "$folder" classify static
{
    printf 'P5 16 16 255\n'
    head -c 256 /dev/zero
} >"$folder/black.pgm"
"$folder/classify" data/zoo/as_is.safetensors "$folder/black.pgm" | tee "$folder/shared.txt"
"$folder/classify-static" data/zoo/as_is.safetensors "$folder/black.pgm" | cmp - "$folder/shared.txt"
grep -q "resnet_small, plain" "$folder/shared.txt"
if "$folder/classify" "$folder/black.pgm" "$folder/black.pgm" 2>"$folder/refused.txt"; then exit 1; fi
grep -q "error 3: .*black.pgm" "$folder/refused.txt"

flags=(-std=c11 -g -Wall -Wextra -Werror -I "$folder/include" tests/c/check.c -lpthread)
read -ra library <<<"$(pkg-config --libs zootuning) -Wl,-rpath,$folder/lib"
cc "${flags[@]}" "${library[@]}" -o "$folder/check"
"$folder/check" data/zoo/as_is.safetensors
cc -fsanitize=address,undefined "${flags[@]}" "${library[@]}" -o "$folder/check-sanitized"
"$folder/check-sanitized" data/zoo/as_is.safetensors
# Not whether values are set before they decide: valgrind reports that of one line of safe code in
# `ResNet::layers`. It is taken for a false alarm, since compiled code may look at the second of two conditions
# first; that was not proved.
if command -v valgrind >/dev/null; then
    valgrind --quiet --error-exitcode=9 --undef-value-errors=no --leak-check=full --show-leak-kinds=definite \
        --errors-for-leak-kinds=definite "$folder/check" data/zoo/as_is.safetensors
fi
