"""The lecture's convolutional network from scratch.

With its head it has 3,453,121 parameters at 150 x 150 x 3.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.errors import InputError
from tljax.models import ops
from tljax.models.layers import Conv

_CHANNELS = (32, 64, 128, 128)
LAYERS = tuple(f"{kind}{i}" for i in range(1, len(_CHANNELS) + 1) for kind in ("conv", "pool"))
MIN_SIZE = 46  # below it, four unpadded convolutions and poolings leave nothing of the image


class CNN(nn.Module):
    """Four times 3 x 3 convolution, relu, 2 x 2 max pooling: `[N, H, W, 3]` -> `(features, out)`.

    The lecture's `padding` is VALID; SAME is for images too small for it.
    """

    padding: str = "VALID"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, *, train: bool = False, start: str = LAYERS[0]
    ) -> tuple[Array, dict[str, Array]]:
        """Run the layers from `start` on; `x` is the input of `start`."""
        del train  # nothing here behaves differently in training
        out: dict[str, Array] = {}
        if start not in LAYERS:
            raise InputError(
                f"the scratch CNN has no layer {start!r}; its layers are {', '.join(LAYERS)}"
            )
        if start == LAYERS[0] and self.padding == "VALID" and min(x.shape[1:3]) < MIN_SIZE:
            raise InputError(
                f"the scratch CNN needs images of {MIN_SIZE} x {MIN_SIZE} or larger, "
                f'found {x.shape[1]} x {x.shape[2]}; padding="SAME" takes smaller ones'
            )
        if start.startswith("pool"):
            x = out[start] = ops.max_pool(x)
        for i, features in enumerate(_CHANNELS, start=1):
            if f"conv{i}" not in LAYERS[LAYERS.index(start) :]:
                continue
            conv = Conv(features, padding=self.padding, dtype=self.dtype, name=f"conv{i}")
            out[f"conv{i}"], x = conv(x, pool=True)
            out[f"pool{i}"] = x
        return x, out
