"""Maximum over overlapping windows, with a gradient that is fast on every platform.

XLA's own gradient of a windowed maximum is a scatter over windows, which is slow on CPU and on a
GPU; see `models.ops`, which has the maximum over 2 x 2. Results are the stock ones, ties included.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

_PADS = ((0, 0), (1, 1), (1, 1), (0, 0))


@jax.custom_vjp
def max_pool_3x3(x: Array) -> Array:
    """Take the maximum over 3 x 3 windows of `[N, H, W, C]` with stride 2, a row of padding around.

    Returns `[N, ceil(H / 2), ceil(W / 2), C]`.
    """
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), _PADS)


def _forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    y = max_pool_3x3(x)
    return y, (x, y)


def _backward(saved: tuple[Array, Array], g: Array) -> tuple[Array]:
    """Give each window's gradient to its first maximum in row-major order.

    An input of an even row of the padded image is in the last row of one window and in the first
    of the next, one of an odd row in the middle of one; columns likewise. What comes from several
    windows is added in their order, as the stock operation does.
    """
    x, y = saved
    n, height, width, c = x.shape
    rows, columns = y.shape[1:3]
    # To whole windows, so that every tap has a number for each of them.
    after = ((0, 0), (1, 2 * rows - height), (1, 2 * columns - width), (0, 0))
    padded = jnp.pad(x, after, constant_values=-jnp.inf)
    first = jnp.full(y.shape, 9, jnp.uint8)
    for tap in reversed(range(9)):
        row, column = divmod(tap, 3)
        seen = padded[:, row : row + 2 * rows - 1 : 2, column : column + 2 * columns - 1 : 2]
        first = jnp.where(seen == y, jnp.uint8(tap), first)

    # One window more before and after, without a maximum.
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    first, g = jnp.pad(first, around, constant_values=9), jnp.pad(g, around)

    def part(row: int, column: int) -> Array:
        """Return what one tap of the windows gets, at the place of the input; `[N, h + 1, w + 1]`.

        Of the last row of a window, that is the window before.
        """
        i, j = int(row < 2), int(column < 2)
        window = (slice(None), slice(i, i + rows + 1), slice(j, j + columns + 1))
        mine = first[window] == 3 * row + column
        return jnp.where(mine, g[window], jnp.zeros((), g.dtype))

    taps = ((2, 0), (1,))  # of even and odd rows of the padded image, in the order of windows
    phases = [
        [sum(part(row, column) for row in down for column in across) for across in taps]
        for down in taps
    ]
    dx = jnp.stack([jnp.stack(line, axis=3) for line in phases], axis=2)
    dx = dx.reshape(n, 2 * rows + 2, 2 * columns + 2, c)
    return (dx[:, 1 : height + 1, 1 : width + 1],)


max_pool_3x3.defvjp(_forward, _backward)
