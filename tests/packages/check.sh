#!/usr/bin/env bash
# The Debian package: made, installed, used, and removed again. Not part of `tests/run.sh`, since it builds the
# program for release and needs to be root.
#
#   bash tests/packages/check.sh
#
# Where there is no `cargo-deb`, it is installed below `target/tools`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=${CARGO_TARGET_DIR:-target}
export PATH=$PATH:$PWD/$target/tools/bin
command -v cargo-deb >/dev/null || cargo install cargo-deb --locked --root "$target/tools"
package=$(bash packages/deb.sh | tail -n 1)
dpkg --info "$package"
dpkg --install "$package"
trap 'dpkg --remove zoo-tuning' EXIT
for page in zoo-tuning zoo-tuning-train zoo-tuning-rl-play; do
    man -w "$page"
done
for file in bash-completion/completions/zoo-tuning fish/vendor_completions.d/zoo-tuning.fish \
    zsh/vendor-completions/_zoo-tuning doc/zoo-tuning/copyright; do
    [ -s "/usr/share/$file" ] || { echo "/usr/share/$file is missing" && exit 1; }
done
/usr/bin/zoo-tuning inspect data/zoo/*.safetensors | tail -n 1 | grep "these 4 files form a zoo"
out=$(mktemp -d)
# From another folder: its data are in the program.
(cd "$out" && /usr/bin/zoo-tuning demo --seeds 1 --shots 4 --epochs 1 --out "$out/demo" >/dev/null)
[ -s "$out/demo/report.html" ]
rm -rf "$out"
echo "$(stat -c %s "$package") bytes"
