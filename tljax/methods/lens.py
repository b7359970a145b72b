"""What a lens, a sensor and a file do to a photograph: blur, few pixels, JPEG; pure functions.

Images are float32 `[side, side, 3]` in 0..1. Constants are those of photographs of 224 pixels.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.data.augment import warp

SIDE = 224  # pixels: side of the photographs that the published constants are for

# ITU-T T.81 (1992), annex K: the quantisation of luminance and of chrominance at quality 50.
_LUMINANCE = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 "
    "14 17 22 29 51 87 80 62 18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 "
    "49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMINANCE = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 "
    "47 66 99 99 99 99 99 99 " + "99 " * 32
)
_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)


def defocus(image: Array, key: Array, constants: tuple[float, float]) -> Array:
    """Blur with a disk of a radius in pixels, softened by a Gaussian of a sigma."""
    del key
    radius, sigma = (value * image.shape[0] / SIDE for value in constants)
    reach = max(1, math.ceil(radius + 2 * sigma))
    fine = 8  # each pixel of the kernel is the share of the disk in it, from 8 x 8 points
    points = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    disk = (points[:, None] ** 2 + points**2 <= max(radius, 0.5) ** 2).astype(np.float64)
    disk = disk.reshape(2 * reach + 1, fine, 2 * reach + 1, fine).mean((1, 3))
    bell = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    bell /= bell.sum()
    soft = np.stack([np.convolve(line, bell, "same") for line in disk])
    soft = np.stack([np.convolve(line, bell, "same") for line in soft.T]).T
    return filtered(image, jnp.asarray(soft / soft.sum(), jnp.float32))


def motion(image: Array, key: Array, constants: tuple[float, float]) -> Array:
    """Blur along a line at an angle drawn from -45 to 45 degrees."""
    angle = jax.random.uniform(key, minval=-45.0, maxval=45.0)
    return filtered(image, trail(image.shape[0], angle, *constants))


def trail(side: int, angle: Array, radius: float, sigma: float) -> Array:
    """Make the kernel of a moving camera: a trail of 2 radius + 1 pixels that fades with sigma."""
    scale = side / SIDE
    reach = max(1, round(2 * radius * scale))
    steps = jnp.arange(reach + 1.0)
    weights = jnp.exp(-(steps**2) / (2 * (sigma * scale) ** 2))
    turn = jnp.deg2rad(angle)
    row = reach + jnp.round(steps * jnp.sin(turn)).astype(jnp.int32)
    col = reach + jnp.round(steps * jnp.cos(turn)).astype(jnp.int32)
    kernel = jnp.zeros((2 * reach + 1, 2 * reach + 1)).at[row, col].add(weights)
    return kernel / weights.sum()


def filtered(image: Array, kernel: Array) -> Array:
    """Convolve each channel `[H, W, C]` with an odd kernel `[K, K]`; the edge is repeated."""
    reach = kernel.shape[0] // 2
    padded = jnp.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    # By Fourier transforms: a kernel for each image is slow as a convolution on CPU.
    shape = (padded.shape[0], padded.shape[1])
    spectrum = jnp.fft.rfft2(kernel, shape)[..., None]
    product = jnp.fft.irfft2(jnp.fft.rfft2(padded, axes=(0, 1)) * spectrum, shape, axes=(0, 1))
    return product[2 * reach :, 2 * reach :]


def zoomed(image: Array, key: Array, constants: tuple[float, float]) -> Array:
    """Average the image with copies enlarged up to a factor, in steps."""
    del key
    last, step = constants
    factors = jnp.asarray(np.arange(1.0, last, step), jnp.float32)
    total, _ = jax.lax.scan(lambda sum, f: (sum + enlarged(image, f), None), image, factors)
    return total / (len(factors) + 1)


def enlarged(image: Array, factor: Array | float) -> Array:
    """Enlarge `[H, W, C]` about its centre, bilinearly, and cut it to its size."""
    centre = (jnp.asarray(image.shape[:2], jnp.float32) - 1) / 2
    return warp(image[None], jnp.eye(2)[None] / factor, (centre * (1 - 1 / factor))[None])[0]


def pixelated(image: Array, key: Array, share: float) -> Array:
    """Shrink by averaging areas, and enlarge by repeating pixels."""
    del key
    side = image.shape[0]
    few = max(1, int(side * share))
    ends = np.arange(few + 1) * side / few
    pixels = np.arange(side)
    overlap = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    areas = jnp.asarray(np.maximum(overlap, 0) * few / side, jnp.float32)
    exact = jax.lax.Precision.HIGHEST
    small = jnp.einsum("ih,hwc,jw->ijc", areas, image, areas, precision=exact)
    back = ((np.arange(side) + 0.5) * few / side).astype(int)
    return small[back][:, back]


def smaller(image: Array, key: Array, share: float) -> Array:
    """Shrink to a share of the side and enlarge again, both as a resizing program does."""
    del key
    few = max(1, round(image.shape[0] * share))
    small = jax.image.resize(image, (few, few, 3), "linear")
    return jax.image.resize(small, image.shape, "linear")


def jpeg(image: Array, key: Array, quality: int) -> Array:
    """Compress as JPEG at a quality below 50: 8 x 8 cosines, rounded; colour at half the side."""
    del key
    side = image.shape[0]
    room = -side % 16
    padded = jnp.pad(image, ((0, room), (0, room), (0, 0)), mode="edge")
    to_ycc = jnp.asarray(_TO_YCC)
    exact = jax.lax.Precision.HIGHEST
    ycc = jnp.einsum("hwc,dc->dhw", padded * 255, to_ycc, precision=exact)
    whole = _rounded(ycc[0] - 128, _table(_LUMINANCE, quality)) + 128
    half = len(padded) // 2
    colours: list[Array] = []
    for plane in ycc[1:]:
        few = plane.reshape(half, 2, half, 2).mean((1, 3))
        few = _rounded(few, _table(_CHROMINANCE, quality))
        colours.append(few.repeat(2, 0).repeat(2, 1))
    back = jnp.linalg.inv(to_ycc)
    rgb = jnp.einsum("dhw,cd->hwc", jnp.stack([whole, *colours]), back, precision=exact)
    return jnp.round(rgb[:side, :side]) / 255


def _rounded(plane: Array, table: np.ndarray) -> Array:
    """Round the cosines of each block of 8 x 8 of a plane to multiples of the table's entries."""
    frequency, place = np.arange(8)[:, None], np.arange(8)
    cosines = 0.5 * np.cos((2 * place + 1) * frequency * np.pi / 16)
    cosines[0] /= np.sqrt(2)
    basis, exact = jnp.asarray(cosines, jnp.float32), jax.lax.Precision.HIGHEST
    rows = len(plane) // 8
    blocks = plane.reshape(rows, 8, rows, 8)
    turned = jnp.einsum("ua,iajb,vb->iujv", basis, blocks, basis, precision=exact)
    steps = jnp.asarray(table, jnp.float32)[:, None, :]
    kept = jnp.round(turned / steps) * steps
    return jnp.einsum("ua,iujv,vb->iajb", basis, kept, basis, precision=exact).reshape(plane.shape)


def _table(text: str, quality: int) -> np.ndarray:
    """Scale a table to a quality below 50 as the Independent JPEG Group's library does."""
    standard = np.array(text.split(), np.int64).reshape(8, 8)
    return np.clip((standard * (5000 // quality) + 50) // 100, 1, 255)
