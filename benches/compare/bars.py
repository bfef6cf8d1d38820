"""The bars: what is compared, how, and by how much ours should win."""

from dataclasses import dataclass, field

from measure import (BATCH32, CONV, GEMM, INFER, LANDMARKS, LANDMARKS_INFER, LAYER, NETWORKS, SMALL, STEP,
                     UPSAMPLE, divided, geometric, middle)


@dataclass
class Bar:
    """Ours beside theirs, run by run; the ratio of the two should be on the right side of a bound."""

    part: str
    name: str
    unit: str
    bound: float
    ours: dict
    theirs: dict
    at_least: bool = False
    beside: str = "PyTorch"
    ratio: dict = field(default_factory=dict)

    def __post_init__(self):
        self.ratio = self.ratio or divided(self.ours, self.theirs)

    def holds(self, ratio):
        return ratio >= self.bound if self.at_least else ratio <= self.bound

    @property
    def met(self):
        """Whether the median does; None where there is none."""
        return self.holds(middle(self.ratio)) if self.ratio else None


def bars(figures):
    """All of them, in the order of the table; those that were not measured are empty."""

    def both(work, key, item=None):
        return [figures.series(side, work, key, item) for side in ("ours", "torch")]

    found = []
    for threads, bound in ((2, 0.9), (1, 1.0)):
        for n in (512, 1024, 2048):
            name = f"GEMM {n}, {threads} thread{'s' * (threads > 1)}"
            found.append(Bar("gemm", name, "GFLOP/s", bound, *both(GEMM[threads], "gflops", n), at_least=True))

    # Of one group; those of several have a group's number as well.
    shapes = [shape for shape in figures.items(CONV) if len(shape) < 6]
    grouped = [shape for shape in figures.items(CONV) if len(shape) == 6]
    for key, name in (("fwd_ms", "conv2d forward"), ("fwdbwd_ms", "conv2d forward + backward")):
        ours, torch = ([figures.series(side, CONV, key, shape) for shape in shapes] for side in ("ours", "torch"))
        found.append(Bar("conv", f"{name}, mean of 9", "ms", 1.0, geometric(ours), geometric(torch)))
        each = [Bar("conv", f"{name}, worst: {text(shape)}", "ms", 1.3, *pair)
                for shape, *pair in zip(shapes, ours, torch)]
        worst = max((bar for bar in each if bar.ratio), key=lambda bar: middle(bar.ratio), default=None)
        found.append(worst or Bar("conv", f"{name}, worst of 9", "ms", 1.3, {}, {}))
    for key, name in (("fwd_ms", "conv2d of groups, forward"),
                      ("fwdbwd_ms", "conv2d of groups, forward + backward")):
        ours, torch = (geometric([figures.series(side, CONV, key, shape) for shape in grouped])
                       for side in ("ours", "torch"))
        found.append(Bar("conv", f"{name}, mean of {len(grouped)}", "ms", 1.0, ours, torch))
    for name, chosen, bound in (("conv2d", shapes, 10), ("conv2d of groups", grouped, 1.0)):
        ours, candle = (geometric([figures.series(side, CONV, "fwdbwd_ms", shape) for shape in chosen])
                        for side in ("ours", "candle"))
        found.append(Bar("conv", f"{name}, forward + backward, mean of {len(chosen)}", "ms", bound, ours, candle,
                         at_least=True, beside="candle", ratio=divided(candle, ours)))
    for channels, side, times in figures.items(UPSAMPLE):
        pair = both(UPSAMPLE, "fwdbwd_ms", [channels, side, times])
        found.append(Bar("upsample", f"bilinear x{times}, forward + backward", "ms", 1.0, *pair))

    for kind, bound in (("zoo", 1 / 2), ("lite", 0.6)):
        ours, torch = (geometric([figures.series(side, LAYER[kind], "fwdbwd_ms", shape)
                                  for shape in figures.items(LAYER[kind])]) for side in ("ours", "torch"))
        found.append(Bar("layer", f"{kind} layer, mean of 6", "ms", bound, ours, torch))

    for kind, bound in (("single", 1.0), ("zoo", 1 / 3), ("lite", 1 / 2)):
        found.append(Bar("step", f"step ResNet-50, {kind}", "s", bound, *both(STEP[kind], "seconds")))
    ours, torch = (divided(figures.series(side, STEP["zoo"], "seconds"),
                           figures.series(side, STEP["single"], "seconds")) for side in ("ours", "torch"))
    found.append(Bar("step", "step ResNet-50, zoo over single", "x", 1.8, ours, torch, ratio=ours))
    found.append(Bar("step", "step ResNet-50, single, peak", "MiB", 0.8, *both(STEP["single"], "peak_mib")))
    found.append(Bar("batch32", "step ResNet-50, zoo, batch 32", "s", 1 / 3, *both(BATCH32, "seconds")))
    found.append(Bar("batch32", "step ResNet-50, zoo, batch 32, peak", "MiB", 1 / 2, *both(BATCH32, "peak_mib")))
    for name, bound in (("wide_resnet50_2", 0.9), ("resnet101", 0.9), ("resnext50_32x4d", 1.2), ("efficientnet_lite0", 1.2)):
        found.append(Bar("networks", f"step {name}", "s", bound, *both(NETWORKS[name], "seconds")))
    for kind, bound in (("single", 1.0), ("zoo", 1 / 4), ("lite", 1 / 2)):
        name = f"step HRNet-W18 64x64, {kind}, batch 16"
        found.append(Bar("landmarks", name, "s", bound, *both(LANDMARKS[kind], "seconds")))
    name = "inference HRNet-W18 256x256, collapsed, batch 1"
    found.append(Bar("landmarks", name, "s", 0.9, *both(LANDMARKS_INFER, "seconds")))
    found.append(Bar("small", "step ResNet-18 64x64, zoo, batch 16", "s", 1 / 8, *both(SMALL, "seconds")))
    for (kind, batch), bound in ((("zoo", 8), 1 / 2), (("single", 8), 1.0), (("single", 1), 1.0)):
        name = f"inference ResNet-50, {'collapsed' if kind == 'single' else kind}, batch {batch}"
        found.append(Bar("infer", name, "s", bound, *both(INFER[kind, batch], "seconds")))
    return found


def text(sizes):
    """`64-256 1x1 56`: channels in and out, taps, height and width, stride and groups if not 1."""
    inputs, outputs, taps, side, stride, groups = [*sizes, 1, 1][:6] if len(sizes) < 6 else sizes
    text = f"{inputs}-{outputs} {taps}x{taps} {side}"
    return text + (f" /{stride}" if stride > 1 else "") + (f" g{groups}" if groups > 1 else "")
