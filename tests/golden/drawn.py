"""Values of tensors that follow from their names, the same here and in the tests."""

import numpy


def drawn(name, shape):
    """Values from -1 to 1: a hash of the name and of the place of each."""
    seed = 0
    for byte in name.encode():
        seed = (seed * 31 + byte) % 2**32
    x = numpy.arange(int(numpy.prod(shape)), dtype=numpy.uint64)
    x = (x * 2654435761 + seed) % 2**32
    for _ in range(2):
        x = ((x ^ (x >> 16)) * 73244475) % 2**32
    return ((x ^ (x >> 16)).astype(numpy.float64) / 2**31 - 1).reshape(shape)


def value(name, shape):
    """What a tensor of a network is."""
    v = drawn(name, shape)
    if len(shape) > 1:
        return v * (6 / numpy.prod(shape[1:])) ** 0.5
    is_positive = name.endswith("running_var") or name.endswith("weight")
    return 1 + v / 2 if is_positive else v / 2
