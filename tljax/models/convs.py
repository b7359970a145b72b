"""Convolution of any stride, padding and groups, with the fastest lowering for the platform.

XLA on CPU has no fast code for a convolution with groups, nor for the gradients of a strided one
inside a loop: it runs them naively, a hundred times slower. Here a depthwise convolution is a sum
of shifted products, and gradients are convolutions of stride 1 and matrix products. Other
platforms, which are fast at all of it, get the stock operation.
"""

import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from tljax.models import ops

Padding = Literal["SAME", "VALID"] | int
_Pads = tuple[tuple[int, int], tuple[int, int]]  # before and after, of rows and of columns
_NHWC = ("NHWC", "HWIO", "NHWC")


def conv(
    x: Array, kernel: Array, *, stride: int = 1, padding: Padding = "SAME", groups: int = 1
) -> Array:
    """Convolve `[N, H, W, I]` with a kernel `[K, L, I / groups, O]`.

    "SAME" is TensorFlow's, where an odd row of padding goes after the image; a number pads all four
    sides alike, as torch does.
    """
    rows, columns = kernel.shape[:2]
    pads = (_pad(x.shape[1], rows, stride, padding), _pad(x.shape[2], columns, stride, padding))
    if not ops.on_cpu():
        return _stock(x, kernel, stride, pads, groups)
    if groups > 1 and groups == x.shape[3]:
        multiplier = kernel.shape[3] // groups
        wide = x if multiplier == 1 else jnp.repeat(x, multiplier, axis=3)
        return _depthwise(wide, kernel, stride, pads)
    if groups > 1:
        pairs = zip(jnp.split(x, groups, 3), jnp.split(kernel, groups, 3), strict=True)
        parts = [conv(part, own, stride=stride, padding=padding) for part, own in pairs]
        return jnp.concatenate(parts, axis=3)
    if rows == columns == 1 and not any(map(any, pads)):
        return _pointwise(x[:, ::stride, ::stride], kernel[0, 0])
    if stride == 1 and rows == columns and rows % 2:
        for name, pad in (("SAME", rows // 2), ("VALID", 0)):
            if pads == ((pad, pad), (pad, pad)):
                return ops.conv(x, kernel, padding=name)
    if stride == rows == columns and not any(map(any, pads)):
        return _pointwise(_patches(x, rows), kernel.reshape(-1, kernel.shape[3]))
    return _dense(x, kernel, stride, pads)


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


def _pad(places: int, size: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Return the rows to add before and after an axis."""
    if padding == "VALID":
        return 0, 0
    if padding != "SAME":
        return padding, padding
    both = max((-(-places // stride) - 1) * stride + size - places, 0)
    return both // 2, both - both // 2


def _stock(x: Array, kernel: Array, stride: int, pads: _Pads, groups: int = 1) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=_NHWC, feature_group_count=groups
    )


def _patches(x: Array, size: int) -> Array:
    """Cut `[N, H, W, C]` into squares: `[N, H / size, W / size, size * size * C]`."""
    n, height, width, c = x.shape
    h, w = height // size, width // size
    squares = x[:, : h * size, : w * size].reshape(n, h, size, w, size, c)
    return squares.transpose(0, 1, 3, 2, 4, 5).reshape(n, h, w, size * size * c)


def _padded(x: Array, pads: _Pads) -> Array:
    """Pad with zeros, or cut off where the number is negative; once, in memory of its own."""
    config = ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0))
    return lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), config))


def _window(x: Array, row: int, column: int, stride: int, shape: tuple[int, ...]) -> Array:
    """Return what one tap of a kernel sees of a padded image, for outputs of `shape`."""
    height, width = ((shape[axis] - 1) * stride + 1 for axis in (1, 2))
    return x[:, row : row + height : stride, column : column + width : stride]


@jax.custom_vjp
def _pointwise(x: Array, kernel: Array) -> Array:
    return x @ kernel


def _pointwise_forward(x: Array, kernel: Array):
    return x @ kernel, (x, kernel)


def _pointwise_backward(saved: tuple[Array, Array], g: Array):
    """Compute the kernel's gradient from the transposed input.

    Differentiated by JAX it would transpose the gradient of the output, which is slow where that is
    the wider.
    """
    x, kernel = saved
    return g @ kernel.T, x.reshape(-1, x.shape[-1]).T @ g.reshape(-1, g.shape[-1])


_pointwise.defvjp(_pointwise_forward, _pointwise_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise(x: Array, kernel: Array, stride: int, pads: _Pads) -> Array:
    return _taps(_padded(x, pads), kernel, stride)


def _taps(x: Array, kernel: Array, stride: int = 1) -> Array:
    """Filter each channel of a padded image by itself: a sum over the kernel's places."""
    rows, columns = kernel.shape[:2]
    h, w = (x.shape[1] - rows) // stride + 1, (x.shape[2] - columns) // stride + 1
    wide, total = jnp.promote_types(x.dtype, jnp.float32), None
    for row in range(rows):
        for column in range(columns):
            seen = _window(x, row, column, stride, (0, h, w)).astype(wide)
            term = seen * kernel[row, column, 0].astype(wide)
            total = term if total is None else total + term
    assert total is not None
    return total.astype(x.dtype)


def _kept_taps(x: Array, kernel: Array) -> Array:
    """Filter each channel, and let the result be computed once, whoever uses it.

    XLA on CPU computes a sum of products again for each user, but not a division; the divisor is 1.
    """
    y = _taps(x, kernel)
    return y / (kernel[0, 0, 0, 0] * 0 + 1).astype(y.dtype)


def _depthwise_forward(x: Array, kernel: Array, stride: int, pads: _Pads):
    return _depthwise(x, kernel, stride, pads), (x, kernel)


def _depthwise_backward(stride: int, pads: _Pads, saved: tuple[Array, Array], g: Array):
    x, kernel = saved
    return (
        _input_gradient(g, kernel, x.shape, stride, pads, convolve=_kept_taps),
        _taps_gradient(_padded(x, pads), g, kernel, stride),
    )


_depthwise.defvjp(_depthwise_forward, _depthwise_backward)
_ROWS = 14  # summed in one pass: 3 to 10 times as fast as XLA's reduction over all places


def _taps_gradient(x: Array, g: Array, kernel: Array, stride: int) -> Array:
    """Compute the gradient of a depthwise kernel: for each tap, a sum over all places.

    First up to 14 rows are added element by element, which XLA vectorises, then a product with
    ones adds the rest.
    """
    n, height, width, channels = g.shape
    rows = max(rows for rows in range(1, min(_ROWS, height) + 1) if height % rows == 0)
    if rows < min(_ROWS, height) // 2:  # a prime number of rows
        rows, extra = min(_ROWS, height), -height % min(_ROWS, height)
        g = jnp.pad(g, ((0, 0), (0, extra), (0, 0), (0, 0)))
        x = jnp.pad(x, ((0, 0), (0, extra * stride), (0, 0), (0, 0)))
        height += extra
    wide = jnp.promote_types(x.dtype, jnp.float32)
    groups = g.reshape(n, height // rows, rows, width, channels)
    ones = jnp.ones((1, n * height // rows * width), wide)

    def line(row: Array) -> Array:
        """Sum for the taps of one row of the kernel."""
        part_of_x = lax.dynamic_slice_in_dim(x, row, (height - 1) * stride + 1, axis=1)
        sums = []
        for column in range(kernel.shape[1]):
            seen = _window(part_of_x, 0, column, stride, g.shape).reshape(groups.shape)
            terms = [seen[:, :, i].astype(wide) * groups[:, :, i].astype(wide) for i in range(rows)]
            sums.append(ones @ functools.reduce(jnp.add, terms).reshape(-1, channels))
        return jnp.concatenate(sums)

    # A loop, so that the program is not unrolled over the taps as well: it compiles in a third.
    sums = lax.map(line, jnp.arange(kernel.shape[0]))
    return sums.reshape(kernel.shape).astype(kernel.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _dense(x: Array, kernel: Array, stride: int, pads: _Pads) -> Array:
    return _stock(x, kernel, stride, pads)


def _dense_forward(x: Array, kernel: Array, stride: int, pads: _Pads):
    return _dense(x, kernel, stride, pads), (x, kernel)


def _dense_backward(stride: int, pads: _Pads, saved: tuple[Array, Array], g: Array):
    x, kernel = saved
    turned = kernel.swapaxes(2, 3)
    dx = _input_gradient(g, turned, x.shape, stride, pads, convolve=_valid)
    padded, flat = _padded(x, pads), g.reshape(-1, g.shape[3])
    rows = []
    for row in range(kernel.shape[0]):
        seen = [_window(padded, row, i, stride, g.shape) for i in range(kernel.shape[1])]
        columns = jnp.concatenate(seen, axis=3).reshape(flat.shape[0], -1)
        rows.append((columns.T @ flat).reshape(kernel.shape[1:]))
    return dx, jnp.stack(rows)


_dense.defvjp(_dense_forward, _dense_backward)


def _valid(x: Array, kernel: Array) -> Array:
    return _stock(x, kernel, 1, ((0, 0), (0, 0)))


def _input_gradient(
    g: Array, kernel: Array, shape: tuple[int, ...], stride: int, pads: _Pads, *, convolve
) -> Array:
    """Compute the gradient of the input, one convolution of stride 1 for each phase of the stride.

    The inputs that are `stride` apart see the same taps of the kernel, which are every `stride`th.
    """
    phases = [
        [
            _phase(g, kernel, shape, stride, pads, (row, column), convolve)
            for column in range(stride)
        ]
        for row in range(stride)
    ]
    if stride == 1:
        return phases[0][0]
    n, height, width, channels = shape
    whole = jnp.stack([jnp.stack(line, axis=3) for line in phases], axis=2)
    h, w = whole.shape[1] * stride, whole.shape[3] * stride
    return whole.reshape(n, h, w, channels)[:, :height, :width]


def _phase(g, kernel, shape, stride, pads, phase, convolve) -> Array:
    """Compute the gradient of the inputs `phase`, `phase + stride`, ... of both axes."""
    places = [-(-shape[axis + 1] // stride) for axis in (0, 1)]
    firsts = [(phase[axis] + pads[axis][0]) % stride for axis in (0, 1)]
    taps = kernel[firsts[0] :: stride, firsts[1] :: stride]
    if 0 in taps.shape:
        return jnp.zeros((shape[0], *places, shape[3]), g.dtype)
    around = []
    for axis in (0, 1):
        most = (phase[axis] + pads[axis][0]) // stride  # the output of the first tap, first place
        before = taps.shape[axis] - 1 - most
        around.append((before, places[axis] + most - g.shape[axis + 1]))
    return convolve(_padded(g, (around[0], around[1])), jnp.flip(taps, (0, 1)))
