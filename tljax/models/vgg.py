"""VGG16 with Keras's layer names, runnable from any named layer to any other.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014,
configuration D.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.files.download import Download
from tljax.models import ops
from tljax.models.architecture import Architecture, Cut, Options
from tljax.models.field import Field, chain
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
    nothing; `fold_norm` folds it away when the weights are saved. `frozen` has the paths of layers
    whose batch statistics stay fixed while the rest trains.
    """

    width: float = 1.0
    norm: bool = False
    frozen: frozenset[str] = frozenset()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        start: str | None = None,
        stop: str | None = None,
        rate: Array | float = 0.0,
        keys: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Run the layers from `start` to `stop`, both included; `x` is the input of `start`."""
        del rate, keys  # no dropout inside
        out: dict[str, Array] = {}
        layers = [cut.name for cut in ARCHITECTURE.between(start, stop)]
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


def _field(layer: str, options: Options) -> Field:
    """Compute the receptive field of a layer's units."""
    del options  # the width changes none
    names = LAYERS[: LAYERS.index(layer) + 1]
    return chain((2, 2, 0) if name.endswith("pool") else (3, 1, 1) for name in names)


_KERAS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels"
)
ARCHITECTURE = Architecture(
    "vgg16",
    cuts=tuple(Cut(name, (name,) if name in CONVS else (), name[:6]) for name in LAYERS),
    make=VGG16,
    options={"width": 1.0, "norm": False},
    fine_tune="block5",
    # Trained on ImageNet. The layout decides the preprocessing: Caffe's for Keras, torch's for
    # torchvision.
    published={
        "vgg16-imagenet-keras": Download(
            _KERAS + ".h5", size=553467096, md5="64373286793e3c8b2b4e3219cbf3544b"
        ),
        "vgg16-imagenet-keras-notop": Download(
            _KERAS + "_notop.h5", size=58889256, md5="6d6bbae143d832006294945121d1f1fc"
        ),
        "vgg16-imagenet-torchvision": Download(
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            size=553433881,
            sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
    },
    field_of_view=_field,
    fold=fold_norm,
)
