"""Winograd's F(2 x 2, 3 x 3): a convolution in 16 products where 36 are usual, for chosen shapes.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv 1509.09308. On some
processors it is faster than XLA's own convolution for some maps; which, only measuring tells (see
`machine.lowering`). Results differ from the stock ones by rounding, about 1e-6 of the largest.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

# Tiles of the output that are transformed together: of 75 x 75 x 128, one image. What they take
# stays in the caches; all of a batch at once is 1.8 times as slow.
_TILES = 1536
# Rows of B, G and A, transposed, of the paper.
_INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))


class Shape(NamedTuple):
    """Describe a 3 x 3 convolution of stride 1 in float32 by all that it is chosen by.

    The batch is not part of it.
    """

    height: int  # of the input
    width: int
    inputs: int  # channels
    outputs: int
    pad: int  # rows of zeros on all four sides: 1 is SAME, 0 VALID, 2 the gradient of VALID

    @classmethod
    def of(cls, x: Sequence[int], kernel: Sequence[int], pad: int) -> "Shape":
        """Make it from the shapes of the operands, `[N, H, W, I]` and `[3, 3, I, O]`."""
        return cls(x[1], x[2], x[3], kernel[3], pad)

    def __str__(self) -> str:
        """Write the map, the channels and the padding."""
        return f"{self.height} x {self.width} x {self.inputs} to {self.outputs}, padding {self.pad}"

    @property
    def flops(self) -> float:
        """Return the FLOPs of one image by the direct way, taps on the padding included."""
        places = (self.height + 2 * self.pad - 2) * (self.width + 2 * self.pad - 2)
        return 2.0 * 9 * places * self.inputs * self.outputs

    @property
    def turned(self) -> "Shape":
        """Return the shape of the convolution that computes the gradient of the input."""
        height, width = self.height + 2 * self.pad - 2, self.width + 2 * self.pad - 2
        return Shape(height, width, self.outputs, self.inputs, 2 - self.pad)


Shapes = frozenset[Shape]
NONE: Shapes = frozenset()
# Of JAX's own, as its caches of traced programs must know of it.
_in_use: Any = jax.make_user_context(default_value=NONE)


@contextmanager
def using(shapes: Iterable[Shape]) -> Generator[None]:
    """Compute convolutions of these shapes, forward and for gradients, in Winograd's way on CPU.

    It is what a program is traced within that counts, of this thread. Without it none are.
    """
    with _in_use(frozenset(shapes)):
        yield


def in_use() -> Shapes:
    """Return the shapes that a program traced here computes in Winograd's way."""
    return _in_use.value


def takes(x: Array, kernel: Array, pad: int, shapes: Shapes) -> bool:
    """Tell whether a convolution of stride 1 is of one of these shapes, and in float32."""
    if not shapes or kernel.shape[:2] != (3, 3) or not x.dtype == kernel.dtype == jnp.float32:
        return False
    return Shape.of(x.shape, kernel.shape, pad) in shapes


def conv(x: Array, kernel: Array, pad: int) -> Array:
    """Convolve `[N, H, W, I]` with `[3, 3, I, O]`, both float32; maps may be odd.

    A few images at a time. It is not to be differentiated: `ops` has the gradients.
    """
    n, height, width, _ = x.shape
    tiles = -(-(height + 2 * pad - 2) // 2) * -(-(width + 2 * pad - 2) // 2)
    most = max(1, _TILES // tiles)
    few = max(count for count in range(1, min(most, n) + 1) if n % count == 0) if n else 0
    turned = _products_of(kernel)
    if few == n:  # in memory of its own, or what made it is computed again for each product
        return _conv(lax.optimization_barrier(x), turned, pad)
    parts = lax.map(lambda part: _conv(part, turned, pad), x.reshape(n // few, few, *x.shape[1:]))
    return parts.reshape(n, *parts.shape[2:])


def _products_of(kernel: Array) -> Array:
    """Transform the kernel: the matrices that the products are with, `[4, 4, I, O]`.

    As one product with `[16, 9]`, which compiles in less time than sums do.
    """
    inputs, outputs = kernel.shape[2:]
    both = jnp.asarray(np.kron(_KERNEL, _KERNEL), kernel.dtype)
    return (both @ kernel.reshape(9, -1)).reshape(4, 4, inputs, outputs)


def _conv(x: Array, kernel: Array, pad: int) -> Array:
    """Convolve images with a transformed kernel: four batches of four matrix products.

    Before one batch of 16 the transformed input is copied together, which takes up to 1.7 times as
    long; 16 by themselves are as fast, and compile in 1.5 times the time.
    """
    n, height, width, channels = x.shape
    height, width = height + 2 * pad - 2, width + 2 * pad - 2
    rows, columns = -(-height // 2), -(-width // 2)
    after = pad + 2 * rows - height, pad + 2 * columns - width  # an odd map's last tile is half out
    padded = jnp.pad(x, ((0, 0), (pad, after[0]), (pad, after[1]), (0, 0)))
    seen = [
        [padded[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for j in range(4)]
        for i in range(4)
    ]
    products = []
    for row, line in zip(_INPUT, kernel, strict=True):
        across = [_sum(row, [seen[i][j] for i in range(4)]) for j in range(4)]
        flat = jnp.stack([_sum(each, across).reshape(-1, channels) for each in _INPUT])
        products.append(flat @ line)
    tile = []
    for row in _OUTPUT:
        across = [_sum(row, [line[j] for line in products]) for j in range(4)]
        pair = [_sum(each, across).reshape(n, rows, columns, -1) for each in _OUTPUT]
        tile.append(jnp.stack(pair, axis=3))
    y = jnp.stack(tile, axis=2)  # [N, rows, 2, columns, 2, O]
    return y.reshape(n, 2 * rows, 2 * columns, -1)[:, :height, :width]


def _sum(signs: Sequence[int], terms: Sequence[Array]) -> Array:
    """Add the terms with signs 1, and subtract those with -1."""
    first, *others = [(sign, term) for sign, term in zip(signs, terms, strict=True) if sign]
    total = first[1] if first[0] > 0 else -first[1]
    for sign, term in others:
        total = total + term if sign > 0 else total - term
    return total
