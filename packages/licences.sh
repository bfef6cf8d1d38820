#!/usr/bin/env bash
# The licences of everything that the packages contain, looked at, and a bill of materials for each:
#
#   bash packages/licences.sh      # target/sbom/*.cdx.json, CycloneDX
#
# Where there is no `cargo-deny` or no `cargo-cyclonedx`, it is installed below `target/tools` (ten minutes). It was
# written and not run yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export PATH=$PATH:$target/tools/bin
for tool in cargo-deny cargo-cyclonedx; do
    command -v "$tool" >/dev/null || cargo install "$tool" --locked --root "$target/tools"
done
cargo deny --locked check --config packages/deny.toml licenses bans sources
cargo cyclonedx --quiet --format json --all-features
rm -rf "$target/sbom" && mkdir -p "$target/sbom"
for made in *.cdx.json bindings/*/*.cdx.json; do
    mv "$made" "$target/sbom/"
done
ls -l "$target/sbom"
