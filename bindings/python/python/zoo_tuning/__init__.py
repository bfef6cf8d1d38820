"""Zoo-Tuning (ICML 2021): tunes a whole zoo of pretrained networks to one task.

    import zoo_tuning as zt

    zoo = zt.open_zoo(["a.pth", "b.safetensors"])
    scores = zoo.scores(images, labels)
    network = zoo.network("lite", classes=10, scores=scores)
    optimizer = zt.Optimizer(network, learning_rate=0.01)
    for x, y in batches:
        zt.cross_entropy(network(x), y).backward()
        optimizer.step()
    network.collapse().save("plain.safetensors")

Images are `[N, C, H, W]`, in numbers of 32 bits. What is wrong with a file, a shape or a setting is a
ValueError or a TypeError, what the system refuses an OSError. Long work runs without Python's lock. The
page docs/python.md has more.
"""

from ._zoo_tuning import (
    Network,
    Optimizer,
    Tensor,
    Zoo,
    __version__,
    architectures,
    concatenate,
    conv2d,
    cross_entropy,
    huber,
    linear,
    load_tensors,
    mse,
    new_network,
    open_network,
    open_zoo,
    set_threads,
    soft_cross_entropy,
    train,
)

__all__ = [
    "Network",
    "Optimizer",
    "Tensor",
    "Zoo",
    "__version__",
    "architectures",
    "concatenate",
    "conv2d",
    "cross_entropy",
    "huber",
    "linear",
    "load_tensors",
    "mse",
    "new_network",
    "open_network",
    "open_zoo",
    "set_threads",
    "soft_cross_entropy",
    "train",
]
