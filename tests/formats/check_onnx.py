"""Checks ONNX models that were written here: by the package `onnx`, and by ONNX Runtime, whose
logits are compared with ours.

    python -m venv .venv
    .venv/bin/pip install onnx onnxruntime numpy safetensors
    cargo run --release --example export_onnx -- FOLDER resnet18 resnet50
    .venv/bin/python tests/formats/check_onnx.py FOLDER

Beside each NAME.onnx is NAME.golden.safetensors, with `images` and our `logits` for them. What
`cargo test --test files onnx` leaves in target/tmp is such a folder too.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

TOLERANCE = 1e-4

paths = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
assert paths, "there is no model in the folder"
for path in paths:
    onnx.checker.check_model(path, full_check=True)
    golden = load_file(path.with_suffix(".golden.safetensors"))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [given], [wanted] = session.get_inputs(), session.get_outputs()
    # Of landmark networks maps.
    assert given.name == "input" and wanted.name in ("logits", "maps"), (given.name, wanted.name)
    images, ours = golden["images"], golden["logits"]
    # A routed network takes one image at a time.
    parts = np.split(images, len(images)) if given.shape[0] == 1 else [images]
    theirs = np.concatenate([session.run([wanted.name], {"input": part})[0] for part in parts])
    assert theirs.shape == ours.shape and np.isfinite(ours).all(), path
    difference, largest = np.abs(theirs - ours).max(), np.abs(ours).max()
    print(
        f"{path.name}: input {given.shape}, images {list(images.shape)}, "
        f"difference {difference:.1e}, which is {difference / largest:.1e} of the largest logit"
    )
    assert difference <= TOLERANCE * max(1, largest), path
print(f"{len(paths)} models, onnx {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}")
