"""Encoded photographs for the decoders: simulated, seeded, of the usual size of cats and dogs."""

import io

import numpy as np

WIDTH, HEIGHT = 500, 375


def jpegs(count: int) -> list[bytes]:
    """Encode soft patches of colour under fine noise.

    They take about as many bytes as a photograph of that size.
    """
    rng = np.random.default_rng(0)
    return [_jpeg(rng) for _ in range(count)]


def _jpeg(rng: np.random.Generator) -> bytes:
    from PIL import Image

    patches = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(patches.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    pixels = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def images(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Make `[count, size, size, 3]` uint8 noise, and labels 0 and 1 `[count]` int32."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return pixels, (np.arange(count) % 2).astype(np.int32)
