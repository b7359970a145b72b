"""Receptive fields of the units of a convolutional network."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


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


def chain(windows: Iterable[tuple[int, int, int]]) -> Field:
    """Compute the receptive field of windows one after another, `(size, stride, padding)` each.

    For VGG16's block5_pool it is 212 pixels with stride 32.
    """
    size, stride, start = 1, 1, 0
    for window, step, padding in windows:
        size, start = size + (window - 1) * stride, start - padding * stride
        stride *= step
    return Field(size, stride, start)
