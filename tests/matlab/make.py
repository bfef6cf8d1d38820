"""Annotations as those of Stanford Cars, in MAT-files, which src/dataset/cars.rs and src/dataset/mat read in tests.

    python make.py                       # writes the .mat files beside this file

Needs scipy. SciPy writes all but cars_annos_big_endian.mat, which holds what cars_annos.mat does as MATLAB has
written it on machines whose big end is first: text of 16 bits, numbers in the narrowest type that holds them.
SciPy reads it again before it is kept.
"""
import os
import struct

import numpy as np
import scipy.io

NAMES = ["AM General Hummer SUV 2000", "BMW X6 SUV 2012", "Citro\u00ebn 2CV Sedan 1970", "Ram C/V Cargo Van Minivan 2012"]
BOX = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
# Classes of the pictures in order.
TRAIN, TEST = [4, 1, 2], [2, 4]


def structs(rows):
    made = np.empty((1, len(rows)), [(name, object) for name in rows[0]])
    for at, row in enumerate(rows):
        made[0, at] = tuple(row.values())
    return made


def cells(names):
    made = np.empty((1, len(names)), object)
    made[0] = names
    return made


def boxed(row):
    return dict(zip(BOX, [np.uint16(30), np.uint8(52), np.uint16(1000), np.float64(569)])) | row


def rows_of_all():
    # The order of the fields is another there.
    paths = [f"car_ims/{at + 1:06}.jpg" for at in range(len(TRAIN + TEST))]
    return [
        {"relative_im_path": path} | boxed({"class": np.float64(label), "test": np.uint8(at >= len(TRAIN))})
        for at, (path, label) in enumerate(zip(paths, TRAIN + TEST))
    ]


def rows_of(labels):
    return [boxed({"class": np.float64(label), "fname": f"{at + 1:05}.jpg"}) for at, label in enumerate(labels)]


def element(kind, data):
    if len(data) <= 4:
        return struct.pack(">HH", len(data), kind) + data.ljust(4, b"\0")
    return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def array(value, name=b""):
    """A list of dicts as structs, one of texts as cells, a text, a number."""
    size = [1, len(value) if isinstance(value, (list, str)) else 1]
    if isinstance(value, str):
        kind, data = 4, element(4, value.encode("utf-16-be"))
    elif not isinstance(value, list):
        kind, data = 6, element(*((2, struct.pack(">B", int(value))) if value < 256 else (4, struct.pack(">H", int(value)))))
    elif isinstance(value[0], str):
        kind, data = 1, b"".join(array(text) for text in value)
    else:
        fields = b"".join(field.encode().ljust(32, b"\0") for field in value[0])
        kind = 2
        data = element(5, struct.pack(">i", 32)) + element(1, fields)
        data += b"".join(array(of) for row in value for of in row.values())
    header = element(6, struct.pack(">II", kind, 0)) + element(5, struct.pack(">2i", *size)) + element(1, name)
    return struct.pack(">II", 14, len(header + data)) + header + data


def big_endian(path, rows):
    header = b"MATLAB 5.0 MAT-file, Platform: SOL2, by make.py".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    with open(path, "wb") as out:
        out.write(header + array(rows, b"annotations") + array(NAMES, b"class_names"))
    found = scipy.io.loadmat(path, uint16_codec="utf-16-be")
    for row, back in zip(rows, found["annotations"][0], strict=True):
        assert all(back[name].item() == value for name, value in row.items()), back
    assert [name.item() for name in found["class_names"][0]] == NAMES


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))

    def save(name, compressed, **variables):
        path = os.path.join(here, name)
        scipy.io.savemat(path, variables, do_compression=compressed)
        # The text at the beginning says when it was written.
        with open(path, "r+b") as file:
            file.write(b"MATLAB 5.0 MAT-file, by SciPy and make.py".ljust(116))

    save("cars_annos.mat", True, annotations=structs(rows_of_all()), class_names=cells(NAMES))
    big_endian(os.path.join(here, "cars_annos_big_endian.mat"), rows_of_all())
    # What a reader has to pass over, too.
    save("cars_train_annos.mat", False, other=np.eye(2) * 1j, annotations=structs(rows_of(TRAIN)))
    save("cars_test_annos_withlabels.mat", True, annotations=structs(rows_of(TEST)))
    rows = [{name: value for name, value in row.items() if name != "class"} for row in rows_of(TEST)]
    save("cars_test_annos.mat", True, annotations=structs(rows))
    save("cars_meta.mat", True, class_names=cells(NAMES))
