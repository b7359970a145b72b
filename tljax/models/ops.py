"""Convolution and pooling: the stock mathematics, with the fastest lowering for the platform.

Three things make XLA on CPU slow for small convolutional networks: convolutions given to YNNPACK,
the gradient of a windowed maximum, and convolution gradients inside a loop. `jit` avoids the first,
the hand-written gradients below the other two. The gradient of the maximum is slow on a GPU too:
the hand-written one makes a step of the whole VGG16 1.2 times as fast there, and one of the network
from scratch 1.5 times (H100, bfloat16). Results are those of the stock operations on every
platform, ties of the pooling included; convolutions on other platforms are the stock ones.
"""

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from tljax.errors import InputError
from tljax.models import winograd

# Dots stay with YNNPACK, convolutions return to Eigen: 2 to 5 times faster for the 3 x 3
# convolutions used here.
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
_NHWC = ("NHWC", "HWIO", "NHWC")
_stock: ContextVar[bool] = ContextVar("stock", default=False)


@functools.cache
def compiler_options() -> dict[str, str] | None:
    """Return compiler options for a top-level `jax.jit` on the default backend.

    None where the backend needs none, or this jaxlib does not know them.
    """
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda x: x + 1, compiler_options=CPU_OPTIONS)(jnp.float32(0))
    except jax.errors.JaxRuntimeError as error:
        if not any(option in str(error) for option in CPU_OPTIONS):
            raise
        return None  # this jaxlib has no such option
    return CPU_OPTIONS


class Jitted(Protocol):
    """The wrapper that `jax.jit` returns."""

    def __call__(self, *arguments: Any) -> Any:
        """Run the program, compiled at the first call for these shapes."""
        ...

    def trace(self, *arguments: Any) -> jax.stages.Traced:
        """Trace the function; the result has the jaxpr."""
        ...

    def lower(self, *arguments: Any) -> jax.stages.Lowered:
        """Lower the function to the compiler's input."""
        ...


def jit(function: Callable[..., Any], **options: Any) -> Jitted:
    """Call `jax.jit` with the platform's compiler options.

    For the outermost program only: XLA refuses the options in a nested one. `options` are those of
    `jax.jit` itself (donation, shardings), open because JAX's defaults for them have no public
    name.
    """
    return jax.jit(function, compiler_options=compiler_options(), **options)


def on_cpu() -> bool:
    """Tell whether to trace what is fast on CPU; False where it is the stock operation's turn."""
    return jax.default_backend() == "cpu" and not _stock.get()


@contextmanager
def stock() -> Generator[None]:
    """Trace stock convolutions on every platform: to count what a network needs, not to run it."""
    before = _stock.set(True)
    try:
        yield
    finally:
        _stock.reset(before)


def conv(x: Array, kernel: Array, *, padding: str) -> Array:
    """Convolve with stride 1: `[N, H, W, I]` with an odd square `[K, K, I, O]` kernel.

    `padding` is SAME or VALID.
    """
    pad = {"SAME": kernel.shape[0] // 2, "VALID": 0}[padding]
    return _conv_cpu(x, kernel, pad, winograd.in_use()) if on_cpu() else _conv(x, kernel, pad)


def max_pool(x: Array) -> Array:
    """Take the maximum over 2 x 2 windows of `[N, H, W, C]` with stride 2.

    An odd last row or column is dropped.
    """
    if min(x.shape[1:3]) < 2:
        raise InputError(
            f"images too small for the base: {x.shape[1]} x {x.shape[2]} are left "
            "where it pools 2 x 2"
        )
    return _max_pool(x)


def _conv(x: Array, kernel: Array, pad: int) -> Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), [(pad, pad)] * 2, dimension_numbers=_NHWC)


def conv_padded(x: Array, kernel: Array, pad: int, shapes: winograd.Shapes) -> Array:
    """Convolve, as one matrix product of patches when the image is smaller than the kernel.

    Eigen is 15 times slower there. `shapes` are those for Winograd's way.
    """
    if winograd.takes(x, kernel, pad, shapes):
        return winograd.conv(x, kernel, pad)
    size = kernel.shape[0]
    if min(x.shape[1:3]) >= size:
        return _conv(x, kernel, pad)
    n, h, w = x.shape[0], x.shape[1] + 2 * pad - size + 1, x.shape[2] + 2 * pad - size + 1
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    patches = [padded[:, i : i + h, j : j + w] for i in range(size) for j in range(size)]
    columns = jnp.concatenate(patches, axis=-1).reshape(n * h * w, -1)
    return (columns @ kernel.reshape(-1, kernel.shape[-1])).reshape(n, h, w, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_cpu(x: Array, kernel: Array, pad: int, shapes: winograd.Shapes) -> Array:
    return conv_padded(x, kernel, pad, shapes)


def _conv_forward(
    x: Array, kernel: Array, pad: int, shapes: winograd.Shapes
) -> tuple[Array, tuple[Array, Array]]:
    return conv_padded(x, kernel, pad, shapes), (x, kernel)


def _conv_backward(
    pad: int, shapes: winograd.Shapes, saved: tuple[Array, Array], g: Array
) -> tuple[Array, Array]:
    """Compute both gradients as channel-last convolutions.

    Inside a loop XLA on CPU runs any other layout naively.
    """
    x, kernel = saved
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    dx = conv_padded(g, turned, kernel.shape[0] - 1 - pad, shapes)
    dkernel = _conv(x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3), pad).transpose(1, 2, 0, 3)
    return dx, dkernel


_conv_cpu.defvjp(_conv_forward, _conv_backward)


def _windows(x: Array) -> Array:
    n, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)


@jax.custom_vjp
def _max_pool(x: Array) -> Array:
    return _windows(x).max((2, 4))


def _max_pool_forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    y = _max_pool(x)
    return y, (x, y)


def _max_pool_backward(saved: tuple[Array, Array], g: Array) -> tuple[Array]:
    """Give the whole gradient to the first maximum in row-major window order.

    The stock operation does the same. A row or column that was dropped gets zeros as one more
    window without a maximum, cut to what was read: zeros padded at the end would be moved by XLA
    into the padding of the convolution before, whose input gradient cuDNN then refuses.
    """
    x, y = saved
    is_max = _windows(x) == y[:, :, None, :, None]
    top, left, right = is_max[:, :, 0, :, 0], is_max[:, :, 0, :, 1], is_max[:, :, 1, :, 0]
    first = jnp.where(top, 0, jnp.where(left, 1, jnp.where(right, 2, 3))).astype(jnp.uint8)
    n, height, width, c = x.shape
    odd = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    first, g = jnp.pad(first, odd, constant_values=4), jnp.pad(g, odd)
    position = np.arange(4, dtype=np.uint8).reshape(2, 1, 2, 1)
    dx = jnp.where(
        first[:, :, None, :, None] == position, g[:, :, None, :, None], jnp.zeros((), g.dtype)
    )
    rows, cols = 2 * first.shape[1], 2 * first.shape[2]
    return (dx.reshape(n, rows, cols, c)[:, :height, :width],)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)
