"""What torchvision, by Pillow, makes of pictures: values that tests/program/pictures.rs compares with.

    python pillow.py                     # writes pillow.json and two JPEGs beside this file
    python pillow.py OUT PHOTO...        # the same of photographs, for ZOO_PILLOW=OUT

Needs torchvision and Pillow; the picture beside this file is a part of astronaut.png of
scikit-image (NASA, in the public domain). Photographs are decoded first and kept as PNG, so that it
is the resizing that is compared.
"""
import json
import os
import sys

import numpy as np
from PIL import Image, ImageOps
from torchvision.transforms import CenterCrop, Resize
from torchvision.transforms.functional import InterpolationMode


def seen(image, mode, resize, size):
    resized = Resize(resize if mode == "short-side" else (resize, resize), InterpolationMode.BILINEAR)
    return np.asarray(CenterCrop(size)(resized(image)))


def cases(out, names, sizes):
    found = []
    for name in names:
        photo = Image.open(os.path.join(out, name))
        for channels in ("RGB", "L"):
            image = photo.convert(channels)
            for mode in ("short-side", "squash"):
                for resize, size in sizes:
                    values = seen(image, mode, resize, size).ravel().tolist()
                    found.append(dict(file=name, grey=channels == "L", mode=mode, resize=resize, size=size, values=values))
    json.dump(found, open(os.path.join(out, "pillow.json"), "w"), separators=(",", ":"))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        here = os.path.dirname(os.path.abspath(__file__))
        cases(here, ["photo.png"], [(20, 16), (32, 32), (90, 20)])
        # For src/dataset/decoding.rs.
        small = Image.open(os.path.join(here, "photo.png")).convert("RGB").resize((75, 50), Image.BICUBIC)
        for name, sampling in (("444", 0), ("420", 2)):
            path = os.path.join(here, f"progressive-{name}.jpg")
            small.save(path, quality=85, progressive=True, subsampling=sampling)
    else:
        out, photos = sys.argv[1], sys.argv[2:]
        os.makedirs(out)
        names = []
        for path in photos:
            names.append(os.path.splitext(os.path.basename(path))[0] + ".png")
            ImageOps.exif_transpose(Image.open(path)).convert("RGB").save(os.path.join(out, names[-1]))
        cases(out, names, [(256, 224), (64, 56)])
