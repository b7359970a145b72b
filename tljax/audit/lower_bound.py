"""The least a step can cost, by formula, from the layers a stage runs and the leaves it trains."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax

from tljax.audit.abstract_step import Dry
from tljax.audit.hlo import valid_taps
from tljax.optim.transform import Optimizer
from tljax.train.step import Leaves


@dataclass(frozen=True)
class Layer:
    """Describe a convolution or dense layer on a batch.

    `flops` are those of one pass; `x_bytes` and `y_bytes` the sizes of its input and output.
    """

    path: str
    flops: float
    x_bytes: int
    y_bytes: int


def layers(dry: Dry) -> list[Layer]:
    """List the layers with a kernel that the stage runs, from input to output."""
    layers_run: list[Layer] = []

    def look(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        # Flax's interface for an interceptor: it hands the arguments of the call.
        result, layer = call(*args, **kwargs), context.module
        if context.method_name == "__call__" and layer.has_variable("params", "kernel"):
            kernel = layer.get_variable("params", "kernel").shape
            y = result[0] if isinstance(result, tuple) else result
            flops = _flops(args[0].shape, kernel, getattr(layer, "padding", "SAME"))
            layers_run.append(Layer("/".join(layer.path), flops, _nbytes(args[0]), _nbytes(y)))
        return result

    with nn.intercept_methods(look):
        jax.eval_shape(dry.apply, dry.variables, dry.x)
    return layers_run


def flops(run: Sequence[Layer], trainable: Sequence[str]) -> float:
    """Sum the FLOPs of a training step: forward, and backward as far as anything trains.

    Forward through all layers, backward by the weights of those whose kernel trains, and backward
    by the input from the last layer down to, not including, the first in which anything trains.
    Each is as much as a forward pass. `run` is a chain. Everything elementwise is left out.
    """
    first = next(
        i
        for i, layer in enumerate(run)
        if any(path.startswith(f"{layer.path}/") for path in trainable)
    )
    by_weights = sum(layer.flops for layer in run if f"{layer.path}/kernel" in trainable)
    return (
        sum(layer.flops for layer in run)
        + by_weights
        + sum(layer.flops for layer in run[first + 1 :])
    )


def temporary_bytes(run: Sequence[Layer], trainable: Leaves) -> int:
    """Return the peak of bytes alive at once: a layer's input and output, and earlier inputs kept.

    Inputs are kept where their layer trains. Or the largest gradient, if that is more. Layer by
    layer, nothing is computed twice; the first input is an argument.
    """
    earlier, most = 0, max(leaf.size * leaf.dtype.itemsize for leaf in trainable.values())
    for i, layer in enumerate(run):
        x = layer.x_bytes if i else 0
        most = max(most, earlier + x + layer.y_bytes)
        earlier += x if f"{layer.path}/kernel" in trainable else 0
    return most


def optimizer_bytes(optimizer: Optimizer, trainable: Leaves) -> int:
    """Count optimizer bytes: RMSprop and momentum keep a number for each parameter, Adam two.

    Adam also keeps a counter for each leaf.
    """
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in trainable.values())
    if optimizer.name == "adam":
        return 2 * size + 4 * len(trainable)
    return size if optimizer.name == "rmsprop" or optimizer.momentum else 0


def _flops(x: tuple[int, ...], kernel: tuple[int, ...], padding: str) -> float:
    if len(kernel) == 2:
        return 2.0 * x[0] * math.prod(kernel)
    taps = 1
    for size, window in zip(x[1:3], kernel[:2], strict=True):
        before = window // 2 if padding == "SAME" else 0
        taps *= valid_taps(size, out=size + 2 * before - window + 1, taps=window, before=before)
    return 2.0 * x[0] * taps * kernel[2] * kernel[3]


def _nbytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * leaf.dtype.itemsize
