"""VGG16 as other libraries store it: leaves and shapes, checked before any leaf is read."""

import functools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.models.architecture import Shape
from tljax.models.vgg import CONVS, channels
from tljax.tree import Json, flatten
from tljax.weights.contents import Leaf, Weights
from tljax.weights.leaves import check_leaves, read_leaf

TOP = ("fc1", "fc2", "predictions")
LAST = CONVS[-1]


def check(path: Path, leaves: Mapping[str, Leaf]) -> float:
    """Return the width of the VGG16 that the leaves make, by their declared shapes.

    InputError where they are not those of one.
    """
    shapes = {name: leaf.shape for name, leaf in leaves.items()}
    if not any(name.split("/")[0] in CONVS for name in shapes):
        raise InputError(
            f"{path}: expected the layers of a VGG16, found {_some(list(shapes)) or 'none'}"
        )
    width = width_of(shapes)
    check_leaves(f"{path}: not a whole VGG16 of width {width:g}", path, leaves, expected(shapes))
    return width


def in_order(path: Path, weights: Weights) -> dict[str, dict[str, np.ndarray]]:
    """Return a VGG16's layers in Keras's order, each `{"kernel", "bias"}` in float32.

    InputError if it is not one.
    """
    layers = weights.params | (weights.top or {})
    leaves = {
        name: Leaf(name, array.shape, array.dtype.name, functools.partial(np.asarray, array))
        for name, array in flatten(layers).items()
    }
    check(path, leaves)
    return {
        layer: {
            leaf: read_leaf(path, f"{layer}/{leaf}", leaves[f"{layer}/{leaf}"])
            for leaf in ("kernel", "bias")
        }
        for layer in (*CONVS, *TOP)
        if layer in layers
    }


def architecture(width: float, shapes: Mapping[str, Shape]) -> Json:
    """Make `Weights.architecture` for a VGG16."""
    return {"name": "vgg16", "width": width} | (
        {"size": side(shapes) * 32} if "fc1/kernel" in shapes else {}
    )


def expected(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Map each leaf to its shape in the VGG16 that `shapes` describe.

    Width, and the sizes of the top, are those of `shapes`. It has a top if `shapes` have any leaf
    of one.
    """
    width, before, leaves = width_of(shapes), 3, {}
    for layer in CONVS:
        after = channels(layer, width)
        leaves |= {f"{layer}/kernel": (3, 3, before, after), f"{layer}/bias": (after,)}
        before = after
    if any(name.split("/")[0] in TOP for name in shapes):
        hidden = _length(shapes.get("fc1/bias"), 4096)
        sizes = (
            before * side(shapes) ** 2,
            hidden,
            hidden,
            _length(shapes.get("predictions/bias"), 1000),
        )
        for i, layer in enumerate(TOP):
            leaves |= {
                f"{layer}/kernel": (sizes[i], sizes[i + 1]),
                f"{layer}/bias": (sizes[i + 1],),
            }
    return leaves


def side(shapes: Mapping[str, Shape]) -> int:
    """Return height and width of the features that fc1 takes: 7 for images of 224 x 224."""
    rows, last = shapes.get("fc1/kernel", (0,))[0], _length(shapes.get(f"{LAST}/bias"), 512)
    return math.isqrt(rows // last) or 7


def width_of(shapes: Mapping[str, Shape]) -> float:
    """Find the multiplier that gives all convolutions their channels, by their biases.

    If none does, it is that of the last.
    """
    counts = {layer: _length(shapes.get(f"{layer}/bias"), 0) for layer in CONVS}
    counts = {layer: count for layer, count in counts.items() if count}
    widths = [counts[layer] / channels(layer, 1.0) for layer in reversed(counts)]
    for width in widths:
        if all(channels(layer, width) == count for layer, count in counts.items()):
            return width
    return widths[0] if widths else 1.0


def _length(shape: Shape | None, otherwise: int) -> int:
    return shape[0] if shape is not None and len(shape) == 1 else otherwise


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
