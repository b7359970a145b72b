"""VGG16 with Keras's layer names, runnable from any named layer to any other.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014,
configuration D.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.errors import InputError
from tljax.models import ops
from tljax.models.layers import NORM_EPSILON, Conv
from tljax.tree import Params

_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
LAYERS = tuple(
    f"block{block}_{layer}"
    for block, (convs, _) in enumerate(_BLOCKS, start=1)
    for layer in [*(f"conv{i}" for i in range(1, convs + 1)), "pool"]
)
CONVS = tuple(layer for layer in LAYERS if not layer.endswith("pool"))


def channels(layer: str, width: float) -> int:
    """Return the output channels of a layer such as "block5_conv1" at a width multiplier."""
    return max(1, round(_BLOCKS[int(layer[5]) - 1][1] * width))


class VGG16(nn.Module):
    """VGG16 without its classifier: preprocessed images `[N, H, W, 3]` -> `(features, out)`.

    `out` has the output of each layer that ran, by name. `width` multiplies the channels. With
    `norm` each convolution has batch normalisation in place of a bias, for pretraining from
    nothing; `fold_norm` folds it away when the weights are saved. `frozen` names the layers whose
    batch statistics stay fixed while the rest trains.
    """

    width: float = 1.0
    norm: bool = False
    frozen: frozenset[str] = frozenset()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, *, start: str = LAYERS[0], stop: str = LAYERS[-1], train: bool = False
    ) -> tuple[Array, dict[str, Array]]:
        """Run the layers from `start` to `stop`, both included; `x` is the input of `start`."""
        out: dict[str, Array] = {}
        layers = between(start, stop)
        if layers[0].endswith("pool"):
            x = out[layers[0]] = ops.max_pool(x)
        for layer, following in zip(layers, [*layers[1:], ""], strict=True):
            if layer.endswith("pool"):
                continue  # done by the convolution before it
            pool = following.endswith("pool")
            conv = Conv(channels(layer, self.width), norm=self.norm, dtype=self.dtype, name=layer)
            out[layer], x = conv(x, pool=pool, frozen_statistics=not train or layer in self.frozen)
            if pool:
                out[following] = x
        return x, out


def between(start: str, stop: str) -> tuple[str, ...]:
    """Return the layers from `start` to `stop`, both included.

    InputError for an unknown name or the wrong order.

    >>> between("block2_conv2", "block3_conv1")
    ('block2_conv2', 'block2_pool', 'block3_conv1')
    """
    for name in (start, stop):
        if name not in LAYERS:
            raise InputError(f"VGG16 has no layer {name!r}; its layers are {', '.join(LAYERS)}")
    if LAYERS.index(start) > LAYERS.index(stop):
        raise InputError(f"VGG16 cannot run from {start!r} to {stop!r}: {stop!r} comes first")
    return LAYERS[LAYERS.index(start) : LAYERS.index(stop) + 1]


def following(layer: str) -> str:
    """Return the layer that takes this one's output; "head" after the last."""
    return (*LAYERS, "head")[LAYERS.index(between(layer, layer)[0]) + 1]


def fold_norm(params: Params, statistics: Params) -> Params:
    """Fold batch normalisation into kernels and biases.

    Returns the parameters of the same network without normalisation. With
    `s = sqrt(variance + epsilon)`, `gamma (conv(x, k) - mean) / s + beta` is
    `conv(x, k gamma / s)` plus `beta - mean gamma / s`. `params` and `statistics` are the base's
    trees, by layer.
    """
    folded = {}
    for layer, leaves in params.items():
        norm, moving = leaves["norm"], statistics[layer]["norm"]
        scale = norm["scale"] / jnp.sqrt(moving["var"] + NORM_EPSILON)
        folded[layer] = {
            "kernel": leaves["kernel"] * scale,
            "bias": norm["bias"] - moving["mean"] * scale,
        }
    return folded
