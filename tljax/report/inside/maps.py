"""Numbers as colours: kernels, activations, maps over photographs. All return uint8 `[H, W, 3]`."""

import numpy as np

from tljax.report.pictures import style


def kernel(weights: np.ndarray, *, bgr: bool = False) -> np.ndarray:
    """Colour a first-layer kernel `[3, 3, 3]`: grey is 0, the largest weight of any sign full."""
    largest = np.abs(weights).max()
    scaled = 0.5 + 0.5 * weights / (largest if largest > 0 else 1)
    return _bytes(scaled[..., ::-1] if bgr else scaled)


def heat(values: np.ndarray, *, largest: float | None = None) -> np.ndarray:
    """Colour values `[H, W]` of 0 or more from black to yellow.

    `largest` is the value that becomes yellow, by default their own maximum.
    """
    import matplotlib

    return _bytes(matplotlib.colormaps["inferno"](_unit(values, largest))[..., :3])


def overlay(image: np.ndarray, values: np.ndarray, *, largest: float | None = None) -> np.ndarray:
    """Lay a map `[h, w]` over its photograph where it is high, interpolated bicubically."""
    import matplotlib
    from PIL import Image

    scale = _unit(values, largest).astype(np.float32)
    wide = Image.fromarray(scale).resize(image.shape[1::-1], Image.Resampling.BICUBIC)
    smooth = np.clip(np.asarray(wide), 0, 1)  # bicubic interpolation overshoots
    strength = smooth[..., None]
    grey = np.repeat(image.mean(-1, keepdims=True), 3, -1) / 255
    colour = matplotlib.colormaps["inferno"](smooth)[..., :3]
    return _bytes((1 - 0.75 * strength) * grey + 0.75 * strength * colour)


def signed(values: np.ndarray, *, blur: float = 0.0) -> np.ndarray:
    """Colour values `[H, W]`: white is 0, blue below it, vermilion above.

    Colours are full at the 99th percentile of the absolute values. `blur` is the deviation, in
    pixels, of a Gaussian that is drawn over them first: single pixels are noise.
    """
    from scipy.ndimage import gaussian_filter

    values = gaussian_filter(values, blur) if blur else values
    size = float(np.percentile(np.abs(values), 99))
    scaled = np.clip(values / (size if size > 0 else 1), -1, 1)[..., None]
    below, above = (_colour(style.COLOURS[name]) for name in ("train", "validation"))
    return _bytes(1 - np.abs(scaled) * (1 - np.where(scaled < 0, below, above)))


def _unit(values: np.ndarray, largest: float | None) -> np.ndarray:
    top = float(values.max()) if largest is None else largest
    return np.clip(values / (top if top > 0 else 1), 0, 1)


def _colour(hexadecimal: str) -> np.ndarray:
    return np.array([int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def _bytes(unit: np.ndarray) -> np.ndarray:
    return np.clip(np.round(255 * unit), 0, 255).astype(np.uint8)
