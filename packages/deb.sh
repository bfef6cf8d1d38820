#!/usr/bin/env bash
# Makes the Debian package of the program, with its manual pages and completions:
#
#   bash packages/deb.sh            # prints where it lies: target/debian/zoo-tuning_VERSION_ARCH.deb
#
# Needs `cargo-deb` (`cargo install cargo-deb`) and what builds the program. What is in the package is said in
# `[package.metadata.deb]` of Cargo.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked
program=$target/release/zoo-tuning
made=$target/packaged
rm -rf "$made"
mkdir -p "$made/completions"
"$program" man --out "$made/man" >/dev/null
# As Debian wants its manual pages; without the time, so that the same source makes the same bytes.
gzip --best --no-name "$made"/man/*.1
"$program" completions bash >"$made/completions/zoo-tuning.bash"
"$program" completions fish >"$made/completions/zoo-tuning.fish"
"$program" completions zsh >"$made/completions/_zoo-tuning"
exec cargo deb --no-build --locked "$@"
