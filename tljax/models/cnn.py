"""The lecture's convolutional network from scratch.

With its head it has 3,453,121 parameters at 150 x 150 x 3.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.errors import InputError
from tljax.models import ops
from tljax.models.architecture import Architecture, Cut, Options
from tljax.models.field import Field, chain
from tljax.models.layers import Conv

_CHANNELS = (32, 64, 128, 128)
LAYERS = tuple(f"{kind}{i}" for i in range(1, len(_CHANNELS) + 1) for kind in ("conv", "pool"))
PADDINGS = ("VALID", "SAME")
MIN_SIZE = 46  # below it, four unpadded convolutions and poolings leave nothing of the image


class CNN(nn.Module):
    """Four times 3 x 3 convolution, relu, 2 x 2 max pooling: `[N, H, W, 3]` -> `(features, out)`.

    The lecture's `padding` is VALID; SAME is for images too small for it.
    """

    padding: str = "VALID"
    dtype: DTypeLike = jnp.float32

    frozen: frozenset[str] = frozenset()

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
        del train, rate, keys  # nothing here behaves differently in training
        if self.padding not in PADDINGS:
            raise InputError(f"unknown padding {self.padding!r}; VALID or SAME")
        out: dict[str, Array] = {}
        layers = [cut.name for cut in ARCHITECTURE.between(start, stop)]
        small = min(x.shape[1:3]) < MIN_SIZE
        if layers[0] == LAYERS[0] and self.padding == "VALID" and small:
            raise InputError(
                f"the scratch CNN needs images of {MIN_SIZE} x {MIN_SIZE} or larger, "
                f'found {x.shape[1]} x {x.shape[2]}; padding="SAME" takes smaller ones'
            )
        if layers[0].startswith("pool"):
            x = out[layers[0]] = ops.max_pool(x)
        for layer, following in zip(layers, [*layers[1:], ""], strict=True):
            if layer.startswith("pool"):
                continue  # done by the convolution before it
            pool, features = bool(following), _CHANNELS[int(layer[4:]) - 1]
            conv = Conv(features, padding=self.padding, dtype=self.dtype, name=layer)
            out[layer], x = conv(x, pool=pool)
            if pool:
                out[following] = x
        return x, out


def _field(layer: str, options: Options) -> Field:
    """Compute the receptive field of a layer's units."""
    padding = int(options.get("padding") == "SAME")
    names = LAYERS[: LAYERS.index(layer) + 1]
    return chain((2, 2, 0) if name.startswith("pool") else (3, 1, padding) for name in names)


ARCHITECTURE = Architecture(
    "cnn",
    cuts=tuple(Cut(name, (name,) if name.startswith("conv") else (), name) for name in LAYERS),
    make=CNN,
    options={"padding": "VALID"},
    pretrained=False,
    field_of_view=_field,
)
