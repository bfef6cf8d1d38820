"""From the wheel of lightning-pose 1.2.3 to frames of 96 pixels' width; data/recipe/mouse.sh calls it.

Points keep their places: the middle of pixel x of the original is the middle of pixel
(x + 0.5) / scale - 0.5 of what is written.
"""

import csv
import io
import sys
import zipfile
from pathlib import Path

from PIL import Image

WIDTH = 96
FOLDER = "mirror_mouse_example/"


def main():
    wheel = zipfile.ZipFile(sys.argv[1])
    rows = list(csv.reader(io.StringIO(wheel.read(FOLDER + "CollectedData.csv").decode())))
    heads, frames = rows[:3], rows[3:]
    archive = zipfile.ZipFile(sys.argv[2], "w")
    written = []
    for name, *values in frames:
        frame = Image.open(io.BytesIO(wheel.read(FOLDER + name))).convert("L")
        size = (WIDTH, round(frame.height * WIDTH / frame.width))
        path = "frames/" + Path(name).name
        packed = io.BytesIO()
        frame.resize(size, Image.Resampling.BOX).save(packed, "png", optimize=True)
        # A name alone has the same time in every run.
        archive.writestr(zipfile.ZipInfo(path), packed.getvalue())
        scales = [before / after for before, after in zip(frame.size, size)] * (len(values) // 2)
        moved = [f"{(float(value) + 0.5) / scale - 0.5:.3f}" if value else "" for value, scale in zip(values, scales)]
        written.append([path, *moved])
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(heads + written)
    archive.writestr(zipfile.ZipInfo("CollectedData.csv"), table.getvalue())
    archive.close()
    print(f"{sys.argv[2]}: {len(written)} frames of {size[0]}x{size[1]}, {len(heads[1]) // 2} points")


if __name__ == "__main__":
    main()
