"""Golden values of the operations of RandAugment and TrivialAugment, by torchvision on Pillow's images.

    python -m venv .venv
    .venv/bin/pip install torch torchvision
    .venv/bin/python tests/golden/augment.py

Writes augment.json beside this script: two images of 8 bits, planes one after the other in
hexadecimal digits, and what each operation makes of one at a magnitude.
"""

import json
import pathlib

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import _apply_op

MAGNITUDES = {
    "Identity": [0.0],
    "ShearX": [0.3, -0.09, 0.99],
    "ShearY": [0.3, -0.09, -0.99],
    "TranslateX": [2.7, -3.0],
    "TranslateY": [2.7, -3.0],
    "Rotate": [9.0, -30.0, 135.0, 90.0],
    "Brightness": [0.27, -0.9, 0.99],
    "Color": [0.27, -0.9, 0.99],
    "Contrast": [0.27, -0.9, 0.99],
    "Sharpness": [0.27, -0.9, 0.99],
    "Posterize": [7.0, 4.0, 2.0],
    "Solarize": [178.5, 0.0, 255.0],
    "AutoContrast": [0.0],
    "Equalize": [0.0],
}


def planes(image):
    values = np.asarray(image)
    return (values.transpose(2, 0, 1) if values.ndim == 3 else values[None]).tobytes().hex()


def main():
    draw = np.random.default_rng(7)
    y, x, c = np.mgrid[0:7, 0:9, 0:3]
    waves = 120 + 70 * np.sin(0.9 * x + 1.3 * c) + 50 * np.cos(0.7 * y * (c + 1))
    colours = np.clip(waves + draw.normal(0, 12, waves.shape), 0, 255).astype(np.uint8)
    # With many pixels of few values, as equalisation likes to be tried.
    grey = (40 + 9 * (np.mgrid[0:24, 0:24].sum(0) // 4) + draw.integers(0, 3, (24, 24))).astype(np.uint8)
    images = {"colours": Image.fromarray(colours), "grey": Image.fromarray(grey)}
    cases = []
    for name, magnitudes in MAGNITUDES.items():
        for magnitude in magnitudes:
            result = _apply_op(images["colours"], name, magnitude, InterpolationMode.NEAREST, None)
            case = {"image": "colours", "operation": name, "magnitude": magnitude}
            cases.append(case | {"result": planes(result)})
    for name in ["Color", "Contrast", "AutoContrast", "Equalize"]:
        result = _apply_op(images["grey"], name, 0.27, InterpolationMode.NEAREST, None)
        case = {"image": "grey", "operation": name, "magnitude": 0.27}
        cases.append(case | {"result": planes(result)})
    golden = {
        "images": {
            name: {"shape": [len(image.getbands()), *image.size[::-1]], "values": planes(image)}
            for name, image in images.items()
        },
        "cases": cases,
    }
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


main()
