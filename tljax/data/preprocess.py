"""Preprocessing: from pixels to the inputs a base was trained on; stored with its weights."""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from tljax.data.text import vocabulary
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError
from tljax.tree import Json


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """`(channels in this order * scale - mean) / std`, mean and std in the order of `channels`.

    Hashable.
    """

    channels: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1.0  # pixels are 0..255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # after scale
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __call__(self, images: ArrayLike) -> jax.Array:
        """Preprocess RGB [..., 3] in 0..255, uint8 or float: float32 of the same shape.

        The input is not modified.
        """
        x = jnp.asarray(images).astype(jnp.float32)
        if self.channels == "BGR":
            x = x[..., ::-1]
        return (x * self.scale - jnp.array(self.mean, jnp.float32)) / jnp.array(
            self.std, jnp.float32
        )

    @property
    def identity(self) -> Json:
        """Return what distinguishes it from any other, in plain JSON."""
        return self.to_dict()

    def to_dict(self) -> Json:
        """Convert to plain JSON, to be stored with the weights."""
        return {
            "channels": self.channels,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_dict(cls, stored: Json) -> "Preprocess":
        """Make a preprocessing from `to_dict`'s result.

        InputError naming the key that is missing, unknown or wrong.
        """
        if not isinstance(stored, dict):
            raise InputError(f"preprocess: expected a dictionary, found {type(stored).__name__}")
        keys = {field.name for field in dataclasses.fields(cls)}
        for key in sorted(keys - stored.keys()):
            raise InputError(f"preprocess.{key}: missing; found keys {sorted(map(str, stored))}")
        for key in sorted(stored.keys() - keys, key=str):
            raise InputError(f"preprocess.{key}: unknown key; expected {sorted(keys)}")
        if stored["channels"] not in ("RGB", "BGR"):
            raise InputError(
                f"preprocess.channels: expected 'RGB' or 'BGR', found {stored['channels']!r}"
            )
        scale = _number("scale", stored["scale"])
        mean, std = (_three(key, stored[key]) for key in ("mean", "std"))
        if scale == 0.0:
            raise InputError("preprocess.scale: expected a number other than 0, found 0")
        if 0.0 in std:
            raise InputError(
                f"preprocess.std: expected three numbers other than 0, found {stored['std']!r}"
            )
        return cls(channels=stored["channels"], scale=scale, mean=mean, std=std)


# What comes before a network: of photographs, or of texts.
Prepare = Preprocess | Vocabulary


def from_dict(stored: Json) -> Prepare:
    """Make what `to_dict` described, of photographs or of texts; InputError for what it cannot."""
    if isinstance(stored, dict) and stored.keys() == {"tokenizer"}:
        return vocabulary.read(str(stored["tokenizer"]), where="preprocess.tokenizer")
    return Preprocess.from_dict(stored)


def of_pixels(preprocess: Prepare, *, where: str) -> Preprocess:
    """Return a preprocessing of photographs; InputError for one of texts."""
    if isinstance(preprocess, Vocabulary):
        raise InputError(f"{where}: expected a network of photographs, found one of texts")
    return preprocess


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"preprocess.{key}: expected a finite number, found {value!r}")
    return float(value)


def _three(key: str, values: object) -> tuple[float, float, float]:
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise InputError(f"preprocess.{key}: expected three numbers, found {values!r}")
    first, second, third = (_number(key, value) for value in values)
    return first, second, third


# The lecture's; right for a network trained from scratch, mismatched with every pretrained VGG16.
UNIT = Preprocess(scale=1 / 255)
# Keras's VGG16 weights, which Oxford trained in Caffe.
CAFFE = Preprocess(channels="BGR", mean=(103.939, 116.779, 123.68))
# torchvision's and timm's VGG16 weights.
TORCH = Preprocess(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

# From -1 to 1: TensorFlow's, and timm's for what was trained there.
HALF = Preprocess(scale=1 / 255, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

BY_NAME = {"unit": UNIT, "caffe": CAFFE, "torch": TORCH, "half": HALF}


def words(preprocess: Prepare) -> str:
    """Describe the preprocessing, for people to check.

    For example "BGR, ImageNet mean (103.9, 116.8, 123.7) subtracted, not scaled". No other function
    puts a preprocessing into words.
    """
    if isinstance(preprocess, Vocabulary):
        return vocabulary.words(preprocess)
    scale, mean, std = preprocess.scale, preprocess.mean, preprocess.std
    parts = [preprocess.channels if scale == 1 else f"{preprocess.channels} {_factor(scale)}"]
    if any(mean):
        whose = "ImageNet mean" if mean in _IMAGENET_MEANS else "mean"
        parts.append(f"{whose} ({_numbers(mean)}) subtracted")
    if std != (1.0, 1.0, 1.0):
        parts.append(f"divided by deviation ({_numbers(std)})")
    elif scale == 1:
        parts.append("not scaled")
    text = ", ".join(parts) + (" alone" if len(parts) == 1 else "")
    return f"{text} ({_MAKERS[preprocess]})" if preprocess in _MAKERS else text


_IMAGENET_MEANS = (CAFFE.mean, CAFFE.mean[::-1], TORCH.mean, TORCH.mean[::-1])
_MAKERS = {
    UNIT: "the lecture's",
    CAFFE: "Caffe's and Keras's",
    TORCH: "torchvision's",
    HALF: "from -1 to 1",
}


def _factor(scale: float) -> str:
    return f"/ {1 / scale:g}" if abs(scale) < 0.1 else f"* {scale:g}"


def _numbers(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.1f}" if abs(value) >= 10 else f"{value:g}" for value in values)
