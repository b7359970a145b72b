"""A check that photographs reach a base as in its training: by its first kernel and its features.

A base that gets 1/255 where it was trained on pixels sees little but its own biases, and all
photographs look nearly the same to it. If it gets pixels where it was trained on 1/255, its biases
have no part in anything: its features are those of inputs a hundred times smaller. So features are
compared between the preprocessing in use and a known one on the other side of that gap. The order
of the channels, and a mean, leave no such trace: in the right order features differ more for 12 of
24 draws of 8 photographs. Only the first kernel identifies them, where it is the published one.

On VGG16's ImageNet weights, 8 photographs of cats and dogs or of ants and bees at 64 to 150 pixels:
features differ by 0.53 to 0.84 with Caffe's preprocessing, by 0.06 to 0.20 with 1/255, by 0.12 to
0.35 with torchvision's. With its first kernel changed for torchvision's preprocessing, they differ
as much with that as with Caffe's (0.96 to 1.03 times).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax import Array

from tljax.data.preprocess import BY_NAME, CAFFE, TORCH, UNIT, Preprocess, of_pixels, words
from tljax.models import build, ops
from tljax.models.architecture import Option
from tljax.models.build import Network
from tljax.tree import Json, Variables
from tljax.weights import first_norm
from tljax.weights.contents import Weights

PHOTOGRAPHS = 8  # each runs through the base twice
ALIKE, UNMOVED = 0.6, 0.8  # ratios of feature differences, in the gap between right and wrong
LEAST = 0.02  # least feature difference to judge by: below it all photographs look the same
FAINT, ALIKE_OF_FAINT = 0.2, 0.15  # for photographs nearly alike, or a base that separates little
_MOST_PIXELS = 191  # larger photographs are averaged down: the check does not need them
_MEAN, _DEVIATION = 115.0, 60.0  # of the pixels in ordinary photographs

# The middle of the first four 3 x 3 kernels, channels BGR by filter, in Keras's file of Oxford's
# ImageNet weights.
_PUBLISHED = np.array(
    [
        [0.03868078, 0.20229845, 0.15641426, -0.36236700],
        [0.04063221, 0.06581022, 0.22031140, -0.42466447],
        [0.05020237, -0.17757156, 0.15118818, -0.39442134],
    ]
)
_ORDERED = (CAFFE, Preprocess(mean=(123.68, 116.779, 103.939)), TORCH, UNIT)


@dataclass(frozen=True)
class PreprocessCheck:
    """The findings about a preprocessing.

    `differs` is 1 minus the mean cosine between photographs' features; or, for a base with batch
    normalisation, how far the statistics of the first one are from its own, see `first_norm`.
    """

    used: Preprocess
    other: Preprocess  # the known one that it was compared with
    photographs: int  # number compared; fewer than 2 tell nothing
    differs: float
    differs_with_other: float
    published: Preprocess | None  # what the first kernel needs, if it is the published one
    by_norm: bool = False  # `differs` is the distance from the first normalisation's statistics

    @property
    def alarm(self) -> str:
        """Explain in one line why the preprocessing looks wrong; empty where it does not."""
        certain = self.published is not None
        needed = self.published or self.other
        if certain and _same(needed, self.used):
            return ""
        reasons = [
            *(["their first kernel is the published one"] if certain else []),
            *self._of_features(),
        ]
        need = f"which {'want' if certain else 'look made for inputs like'} {words(needed)}"
        unsuited = f"{words(self.used)} does not suit these weights, {need}"
        return f"{unsuited}: {'; '.join(reasons)}" if reasons else ""

    def told(self) -> str:
        """Describe the preprocessing and the measurements in one line."""
        if self.photographs < 2:
            return words(self.used)
        verdict = "" if self.alarm else ": no sign of a wrong one"
        if self.by_norm:
            return (
                f"{words(self.used)}. Checked: on {self.photographs} photographs the statistics of "
                f"the first normalisation are {self.differs:.2f} deviations from its own, and "
                f"{self.differs_with_other:.2f} with {words(self.other)}{verdict}"
            )
        return (
            f"{words(self.used)}. Checked: the features of {self.photographs} photographs differ "
            f"by {self.differs:.3f} (1 minus the mean cosine), and by "
            f"{self.differs_with_other:.3f} with {words(self.other)}{verdict}"
        )

    def to_dict(self) -> Json:
        """Convert to the plain JSON that results.json keeps and the page shows."""
        return {"used": self.used.to_dict(), "told": self.told(), "alarm": self.alarm}

    def _of_features(self) -> list[str]:
        used, other = self.differs, self.differs_with_other
        if self.by_norm:
            far = used > first_norm.FAR and used > first_norm.TIMES * other
            said = f"on {self.photographs} photographs the first normalisation's statistics are"
            near = f"{used:.2f} deviations from its own, with the other {other:.2f}"
            return [f"{said} {near}"] if far else []
        measured = f"by {used:.3f} (1 minus the mean cosine), with the other by {other:.3f}"
        alike = ALIKE if other >= FAINT else ALIKE_OF_FAINT
        if not _large(self.used) and other >= LEAST and used < alike * other:
            return [
                f"with it the features of {self.photographs} photographs hardly differ, {measured}"
            ]
        if _large(self.used) and used >= LEAST and other > UNMOVED * used:
            return [
                f"with it biases have no part in the features of {self.photographs} photographs: "
                f"{measured}"
            ]
        return []


def check_preprocess(weights: Weights, images: np.ndarray) -> PreprocessCheck:
    """Compare the preprocessing of a base's weights with a known one on 8 of these photographs.

    `images` are `[N, H, W, 3] uint8`. It takes less than 2 seconds on two cores at 150 x 150.
    Nothing is run for a base whose features were not measured for this (VGG16's were), for weights
    without any bias, or for fewer than 2 photographs.
    """
    used = of_pixels(weights.preprocess, where=weights.source or "weights")
    needed = published(weights)
    other = TORCH if _large(used) else CAFFE
    if needed is not None and _large(needed) != _large(used):
        other = needed
    photographs = ordinary(images)
    if weights.statistics and len(photographs) >= 2:
        return _by_norm(weights, photographs)
    measured = weights.architecture.get("name") == "vgg16"
    if (
        not measured
        or len(photographs) < 2
        or not any(np.any(leaves["bias"]) for leaves in weights.params.values())
    ):
        return PreprocessCheck(used, other, 0, 0.0, 0.0, needed)
    differs, with_other = differences(weights, photographs, (used, other))
    return PreprocessCheck(used, other, len(photographs), differs, with_other, needed)


def _by_norm(weights: Weights, photographs: np.ndarray) -> PreprocessCheck:
    """Compare the preprocessing with the known one that fits the first normalisation best."""
    used = of_pixels(weights.preprocess, where=weights.source or "weights")
    others = [each for each in BY_NAME.values() if not _same(each, used)]
    differs, *each = first_norm.distances(weights, photographs, (used, *others))
    best = int(np.argmin(each))
    return PreprocessCheck(
        used, others[best], len(photographs), differs, each[best], None, by_norm=True
    )


def published(weights: Weights) -> Preprocess | None:
    """Return the preprocessing that the first kernel was made for, or None.

    It is known only where the kernel is that of the published ImageNet weights. The same
    convolutions are written for other inputs by reversing and scaling the channels of this kernel
    alone.
    """
    first = weights.params.get("block1_conv1", {})
    kernel = np.asarray(first.get("kernel", ()), np.float64)
    if kernel.shape != (3, 3, 3, 64):
        return None
    for preprocess in _ORDERED:
        factor = np.array(preprocess.std)[:, None] / preprocess.scale
        middle = factor * (_PUBLISHED if preprocess.channels == "BGR" else _PUBLISHED[::-1])
        if np.allclose(kernel[1, 1, :, :4], middle, rtol=1e-3, atol=0):
            return preprocess
    return None


def differences(
    weights: Weights, images: np.ndarray, preprocesses: tuple[Preprocess, ...]
) -> list[float]:
    """Measure how much the features of different images differ, with each preprocessing.

    1 minus the mean cosine between them; 0 where all are alike. Features are the base's output,
    averaged over places.
    """
    base, options = build.described(weights.architecture)
    program = _program(base, tuple(options.items()))
    return [
        _difference(np.asarray(program(weights.variables, preprocess(images))))
        for preprocess in preprocesses
    ]


@functools.cache
def _program(base: str, options: tuple[tuple[str, Option], ...]) -> Callable[..., Any]:
    module = build.base_of(Network(base, dict(options)))

    def features(variables: Variables, x: Array) -> Array:
        output: Array = module.apply(variables, x)[0]
        return output.mean(tuple(range(1, output.ndim - 1)))

    return ops.jit(features)


def _difference(features: np.ndarray) -> float:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    if not np.all(norms > 0):
        return 0.0
    cosines = (features / norms) @ (features / norms).T
    return float(1 - cosines[~np.eye(len(features), dtype=bool)].mean())


def ordinary(images: np.ndarray) -> np.ndarray:
    """Select up to 8 photographs and give them ordinary brightness and contrast.

    Returns `[n, H, W, 3]` float32. Dark or pale photographs are alike to any base, with the right
    preprocessing too; those of one colour are left out.
    """
    rows = (
        np.unique(np.linspace(0, len(images) - 1, PHOTOGRAPHS).round().astype(int))
        if len(images)
        else []
    )
    pixels = (
        _averaged(np.stack([images[i] for i in rows]).astype(np.float32))
        if len(rows)
        else np.zeros((0, 1, 1, 3))
    )
    mean, deviation = pixels.mean((1, 2, 3), keepdims=True), pixels.std((1, 2, 3), keepdims=True)
    varied = deviation[:, 0, 0, 0] > 1
    stretched = (pixels - mean)[varied] / deviation[varied] * _DEVIATION + _MEAN
    return np.clip(stretched, 0, 255).astype(np.float32)


def _averaged(images: np.ndarray) -> np.ndarray:
    """Average over squares of whole pixels, so that no side reaches 192."""
    count, height, width, channels = images.shape
    by = -(-max(height, width) // _MOST_PIXELS)
    cut = images[:, : height // by * by, : width // by * by]
    return cut.reshape(count, height // by, by, width // by, by, channels).mean((2, 4))


def _large(preprocess: Preprocess) -> bool:
    """Test whether inputs are of the order of pixels.

    From black to white the known preprocessings span 255, against 1 to 4.5.
    """
    return 255 * abs(preprocess.scale) / min(map(abs, preprocess.std)) > 32


def _same(first: Preprocess, second: Preprocess) -> bool:
    """Test whether the two agree but for a rounded mean."""
    pixels = np.array([[0.0, 0, 0], [255, 0, 0], [0, 0, 255]], np.float32)
    inputs, others = np.asarray(first(pixels)), np.asarray(second(pixels))
    return bool(np.abs(inputs - others).max() < 0.02 * np.ptp(inputs))
