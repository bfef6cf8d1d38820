"""Makes a folder of photographs, DIR/CLASS/*.jpg, of the pictures in packages of wallpapers.

    python make.py PICTURES DIR [COUNT]

Each is a random part of one of the photographs below PICTURES, at a random scale, and its class is a
group of these. 39 of 40 have the sides that those of ImageNet mostly have, the others 12 million
pixels, as from a phone. The same PICTURES give the same folder.
"""

import random
import sys
from pathlib import Path

from PIL import Image

CLASSES = 10
USUAL, PHONE = (500, 375), (4032, 3024)
PHONE_EVERY = 40
# With it, files of either size are as large as real ones: 60 to 110 kB, and 3 MB.
QUALITY = 95
# Drawings compress, and so decode, unlike photographs; all JPEGs in these packages of so many pixels
# are photographs but these.
FEWEST_PIXELS = 4_000_000
DRAWINGS = ("2004default", "Elephants", "Painting", "analogpattern", "firstgeneration", "rhythm", "string", "the-mouse")


def photographs(folder):
    for path in sorted(Path(folder).rglob("*.jpg")):
        with Image.open(path) as image:
            width, height = image.size
        if width * height >= FEWEST_PIXELS and not path.name.startswith(DRAWINGS):
            yield path


def part(image, sides, rng):
    """A part with the proportions of `sides`, upright or not, at most as large as there is."""
    if rng.random() < 0.3:
        sides = sides[::-1]
    whole = min(image.width / sides[0], image.height / sides[1])
    scale = whole * rng.uniform(0.85, 1) if sides[0] * sides[1] > 10**6 else rng.uniform(min(1, whole), whole)
    width, height = (side * scale for side in sides)
    left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    return image.resize(sides, Image.Resampling.LANCZOS, (left, top, left + width, top + height), 3)


def main():
    pictures, out, count = sys.argv[1], Path(sys.argv[2]), int((sys.argv[3:] or [2000])[0])
    sources = list(photographs(pictures))
    assert len(sources) >= CLASSES, f"{pictures} holds {len(sources)} photographs, too few"
    pixels = 0
    for at, path in enumerate(sources):
        folder = out / f"class_{at % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.open(path).convert("RGB")
        for number in range(at, count, len(sources)):
            rng = random.Random(number)
            taken = part(image, PHONE if rng.random() < 1 / PHONE_EVERY else USUAL, rng)
            taken.save(folder / f"{number:05}.jpg", quality=QUALITY, subsampling="4:2:0")
            pixels += taken.width * taken.height
    files = list(out.rglob("*.jpg"))
    size = sum(file.stat().st_size for file in files)
    print(f"{len(files)} photographs of {len(sources)}: {pixels / 1e6:.0f} million pixels, {size / 1e6:.0f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
