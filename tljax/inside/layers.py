"""The layers of a base in order, and their receptive fields."""

from dataclasses import dataclass

import flax.linen as nn
import numpy as np

from tljax.errors import InputError
from tljax.models import cnn, vgg


@dataclass(frozen=True)
class Field:
    """A receptive field: unit (row, column) sees `size` x `size` pixels.

    They begin at `start + stride * row` and `start + stride * column`.
    """

    size: int
    stride: int
    start: int

    def places(self, side: int) -> int:
        """Count the units along a photograph of this side.

        Where pooling drops an odd row there may be one fewer.
        """
        return (side - 2 * self.start - self.size) // self.stride + 1

    def crop(self, image: np.ndarray, row: int, column: int) -> np.ndarray:
        """Crop the pixels that the unit sees, uint8 `[S, S, 3]`, with grey beyond the image.

        A field as large as the image, or larger, gives the whole image.
        """
        if self.size >= max(image.shape[:2]):
            return image
        top, left, pad = (
            self.start + self.stride * row,
            self.start + self.stride * column,
            self.size,
        )
        padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), constant_values=128)
        return padded[top + pad : top + pad + self.size, left + pad : left + pad + self.size]


def layers_of(base: nn.Module) -> tuple[str, ...]:
    """List the names of the layers from input to output."""
    return cnn.LAYERS if isinstance(base, cnn.CNN) else vgg.LAYERS


def check(base: nn.Module, layer: str) -> str:
    """Return the layer's name; InputError where the base has no such layer."""
    if layer not in layers_of(base):
        raise InputError(f"no layer {layer!r}; the base's layers are {', '.join(layers_of(base))}")
    return layer


def following(base: nn.Module, layer: str) -> str:
    """Return the layer that takes this one's output; "head" after the last."""
    names = layers_of(base)
    return (*names, "head")[names.index(check(base, layer)) + 1]


def receptive_field(base: nn.Module, layer: str) -> Field:
    """Compute the receptive field by the recurrence over 3 x 3 convolutions and 2 x 2 poolings.

    For VGG16's block5_pool it is 212 pixels with stride 32.
    """
    size, stride, start = 1, 1, 0
    names = layers_of(base)
    padded = getattr(base, "padding", "SAME") == "SAME"
    for name in names[: names.index(check(base, layer)) + 1]:
        if "pool" in name:
            size, stride = size + stride, 2 * stride
        else:
            size, start = size + 2 * stride, start - stride * padded
    return Field(size, stride, start)
