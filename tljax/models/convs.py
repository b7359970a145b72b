"""Convolution of any stride, padding and groups."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

Padding = Literal["SAME", "VALID"] | int
_NHWC = ("NHWC", "HWIO", "NHWC")


def conv(
    x: Array, kernel: Array, *, stride: int = 1, padding: Padding = "SAME", groups: int = 1
) -> Array:
    """Convolve `[N, H, W, I]` with a kernel `[K, L, I / groups, O]`.

    "SAME" is TensorFlow's, where an odd row of padding goes after the image; a number pads all four
    sides alike, as torch does.
    """
    pad = padding if isinstance(padding, str) else [(padding, padding)] * 2
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pad, dimension_numbers=_NHWC, feature_group_count=groups
    )


class Conv(nn.Module):
    """Convolution as a layer, in the dtype of its input; `kernel` and `bias` are float32."""

    features: int
    size: int = 3  # of the kernel
    stride: int = 1
    padding: Padding = "SAME"
    groups: int = 1
    bias: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape, jnp.float32)
        y = conv(
            x,
            kernel.astype(x.dtype),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
        )
        if not self.bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return y + bias.astype(x.dtype)
