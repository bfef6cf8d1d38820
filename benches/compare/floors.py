"""What a network cannot do without: operations and bytes, and the seconds that they take.

An operation is a multiplication or an addition. The floors are seconds at the best rate that either
side reached in the same comparison: of operations in a large matrix product, of bytes in adding up
large arrays. They are of the direct arithmetic; Winograd's form, for one, needs fewer operations.
"""

from typing import NamedTuple

from measure import GEMM, MEMORY, middle

BYTES = 4  # of a value


class Conv(NamedTuple):
    inputs: int
    outputs: int
    taps: int
    pixels: int  # of the input
    positions: int  # of the output
    aligned: bool
    first: bool = False  # nobody wants the gradient of images
    groups: int = 1

    @property
    def kernel(self):
        return self.inputs // self.groups * self.outputs * self.taps**2

    @property
    def alignment(self):
        return self.outputs**2 if self.aligned and self.taps > 1 else 0


def shape(inputs, outputs, taps, side, stride=1, groups=1, *, aligned=True):
    positions = (-(-side // stride)) ** 2
    return Conv(inputs, outputs, taps, side**2, positions, aligned, groups=groups)


def resnet(depth, size):
    """The convolutions of a ResNet."""
    convs, side, inputs = [shape(3, 64, 7, size, 2)._replace(first=True)], -(-size // 4), 64
    for stage, count in enumerate({18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}[depth]):
        for block in range(count):
            middle, stride, aligned = 64 << stage, 2 if stage and not block else 1, stage >= 2
            outputs, after = middle * (4 if depth == 50 else 1), -(-side // stride)
            if depth == 50:
                convs += [
                    shape(inputs, middle, 1, side, 1, aligned=aligned),
                    shape(middle, middle, 3, side, stride, aligned=aligned),
                    shape(middle, outputs, 1, after, 1, aligned=aligned),
                ]
            else:
                convs += [
                    shape(inputs, middle, 3, side, stride, aligned=aligned),
                    shape(middle, middle, 3, after, 1, aligned=aligned),
                ]
            if stride != 1 or inputs != outputs:
                convs.append(shape(inputs, outputs, 1, side, stride, aligned=aligned))
            inputs, side = outputs, after
    return convs


def operations(convs, batch, kind, m, training):
    """Of the convolutions, and of mixing m sources in the cheaper of two ways: their kernels, or
    their outputs. Each product has two more in the backward pass."""
    total = 0
    for conv in convs:
        plain = batch * conv.positions * conv.kernel
        passes = 1 if not training else 2 if conv.first else 3
        if kind == "single":
            total += passes * plain
            continue
        mixtures = batch if kind == "zoo" else 1
        mixed = m * (mixtures * conv.kernel + conv.alignment * conv.kernel // conv.outputs)
        kernels = passes * plain + (3 if training else 1) * mixed
        values = m * batch * conv.positions * (conv.outputs + conv.alignment)
        outputs = passes * m * plain + (3 if training else 1) * values
        total += min(kernels, outputs)
    return 2 * total


def moved(convs, batch, kind, m, training):
    """Bytes to and from memory, if all that is used together stays in a cache: of what is trained,
    its value in both passes, its gradient, and the optimizer's three reads and two writes; of
    activations, input and output of a convolution in each of its three passes (the batch norms'
    own passes are not even in it)."""
    sources = 1 if kind == "single" else m
    trained = sum(sources * conv.kernel + (sources * conv.alignment if kind != "single" else 0) for conv in convs)
    activations = batch * sum(conv.inputs * conv.pixels + conv.outputs * conv.positions for conv in convs)
    return BYTES * (8 * trained + 3 * activations if training else trained + activations)


def rates(figures):
    """The best of both sides by threads: operations and bytes a second; None where not measured."""

    def best(work, key, items):
        found = [middle(figures.series(side, work, key, item)) for side in ("ours", "torch") for item in items]
        return max((rate * 1e9 for rate in found if rate), default=None)

    return {
        threads: (best(GEMM[threads], "gflops", (512, 1024, 2048)), best(MEMORY[threads], "gb_per_s", ("add",)))
        for threads in GEMM
    }


def seconds(count, rate):
    return count / rate if rate else None
