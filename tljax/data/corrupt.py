"""Common corruptions of photographs in five severities: pure functions on uint8 images.

Formulas and constants are those of CIFAR-10-C, made for 32 x 32 images: Hendrycks and Dietterich
2019, "Benchmarking neural network robustness to common corruptions and perturbations". On larger
images the blur is as wide in proportion.
"""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError

SEVERITIES = range(1, 6)
_SIDE = 32  # pixels: side of the images that the constants are for


def noise(images: np.ndarray, *, severity: int, seed: int = 0) -> np.ndarray:
    """Add normal noise to every channel; image i has its own random stream.

    The standard deviation is a fraction of the range.
    """
    deviation = (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]
    rows = (
        np.random.default_rng([seed, i]).normal(scale=deviation, size=images.shape[1:])
        for i in range(len(images))
    )
    return _pixels(images / 255 + np.stack(list(rows)))


def blur(images: np.ndarray, *, severity: int, seed: int = 0) -> np.ndarray:
    """Blur with a Gaussian whose sigma is in pixels of a 32 x 32 image.

    Beyond the edge the nearest pixel is repeated.
    """
    del seed
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1] * images.shape[1] / _SIDE
    return _pixels(ndimage.gaussian_filter(images / 255, (0, sigma, sigma, 0), mode="nearest"))


def contrast(images: np.ndarray, *, severity: int, seed: int = 0) -> np.ndarray:
    """Move every pixel towards its channel's mean over the image."""
    del seed
    share = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    means = images.mean((1, 2), keepdims=True) / 255
    return _pixels((images / 255 - means) * share + means)


def brightness(images: np.ndarray, *, severity: int, seed: int = 0) -> np.ndarray:
    """Raise the value V of HSV at the same hue and saturation: multiply by (V + c) / V.

    Black becomes grey.
    """
    del seed
    more = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    scaled = images / 255
    value = scaled.max(-1, keepdims=True)
    raised = np.minimum(value + more, 1)
    return _pixels(np.where(value > 0, scaled * raised / np.where(value > 0, value, 1), raised))


def pixelate(images: np.ndarray, *, severity: int, seed: int = 0) -> np.ndarray:
    """Shrink the image and enlarge it again, each with the box filter."""
    del seed
    height, width = images.shape[1:3]
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    few = (int(width * share), int(height * share))
    box = Image.Resampling.BOX
    return np.stack(
        [
            np.asarray(Image.fromarray(x).resize(few, box).resize((width, height), box))
            for x in images
        ]
    )


CORRUPTIONS: dict[str, Callable[..., np.ndarray]] = {
    "noise": noise,
    "blur": blur,
    "contrast": contrast,
    "brightness": brightness,
    "pixelate": pixelate,
}


def corrupted(sets: ImageSets, name: str, *, severity: int) -> ImageSets:
    """Corrupt the photographs of all splits. InputError for an unknown name or severity."""
    if name not in CORRUPTIONS:
        raise InputError(f"corruption: expected one of {', '.join(CORRUPTIONS)}; found {name!r}")
    if severity not in SEVERITIES:
        raise InputError(
            f"severity: expected {SEVERITIES[0]} to {SEVERITIES[-1]}, found {severity}"
        )

    def corrupt(split: ImageSet, seed: int) -> ImageSet:
        return dataclasses.replace(
            split, images=CORRUPTIONS[name](split.images, severity=severity, seed=seed)
        )

    digest = hashlib.sha256(f"{sets.digest} {name} {severity}".encode()).hexdigest()
    return dataclasses.replace(
        sets,
        name=f"{sets.name} with {name} {severity}",
        train=corrupt(sets.train, 0),
        validation=corrupt(sets.validation, 1),
        test=corrupt(sets.test, 2) if sets.test else None,
        digest=digest,
    )


def _pixels(fractions: np.ndarray) -> np.ndarray:
    """Convert values to uint8: clip to 0 to 1, scale to 255, round down as in CIFAR-10-C."""
    # The small term keeps a whole number that rounding error left just below itself.
    return np.floor(np.clip(fractions, 0, 1) * 255 + 1e-6).astype(np.uint8)
