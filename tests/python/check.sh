#!/usr/bin/env bash
# The module for Python, from a wheel in a fresh environment: pytest, mypy, examples, the tutorial.
#
#   bash tests/python/check.sh
#
# The tools take 150 MB in target/python/tools, once. ZOO_PYTHON names the Python to use (default: python3).
# The wheel is built as tests are, so that what is compiled for them serves here where it can.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
folder=$target/python
export CARGO_TARGET_DIR=$target
mkdir -p "$folder"

if [ ! -x "$folder/tools/bin/maturin" ]; then
    "${ZOO_PYTHON:-python3}" -m venv "$folder/tools"
    "$folder/tools/bin/pip" install --quiet "maturin>=1.9.4,<2" mypy numpy pytest nbclient ipykernel
fi

cargo fmt --check -p zoo-tuning-python

rm -rf "$folder/wheels" "$folder/fresh"
"$folder/tools/bin/maturin" build --quiet --profile dev --locked --manifest-path bindings/python/Cargo.toml \
    --interpreter "$folder/tools/bin/python" --out "$folder/wheels"

# Nothing but what the wheel asks for, and the tools from their own place, after it.
"${ZOO_PYTHON:-python3}" -m venv "$folder/fresh"
"$folder/fresh/bin/pip" install --quiet "$folder"/wheels/*.whl
"$folder/fresh/bin/python" -I -c "import zoo_tuning, numpy; print(zoo_tuning.__version__, numpy.__version__)"
purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
"$folder/tools/bin/python" -c "$purelib" >"$("$folder/fresh/bin/python" -c "$purelib")/tools.pth"

"$folder/fresh/bin/python" - "$folder"/wheels/*.whl <<'END'
import sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
for part in ["_zoo_tuning.abi3", "_zoo_tuning.pyi", "py.typed", "LICENSE-MIT", "LICENSE-APACHE", "entry_points"]:
    assert any(part in name for name in names), f"the wheel lacks {part}"
assert "cp310-abi3" in sys.argv[1]
END

"$folder/fresh/bin/python" -m pytest tests/python -p no:cacheprovider "$@"
