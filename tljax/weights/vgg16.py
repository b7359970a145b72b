"""VGG16 as other libraries store it: leaves and shapes, checked before any leaf is read."""

import functools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.models.vgg import CONVS, channels
from tljax.tree import Json, compare, flatten, nest
from tljax.weights.contents import Contents, Leaf, Weights, read_preprocess

TOP = ("fc1", "fc2", "predictions")
LAST = CONVS[-1]
DTYPES = ("float16", "bfloat16", "float32", "float64")
Shape = tuple[int, ...]


def assemble(path: Path, contents: Contents) -> Weights:
    """Read every leaf as float32, once all declared shapes are those of one VGG16.

    InputError naming the file and its missing, extra or unequal leaves, or one that is not finite.
    """
    leaves = contents.leaves
    shapes = {name: leaf.shape for name, leaf in leaves.items()}
    width = check(path, leaves)
    params = nest(path, {name: _read(path, name, leaf) for name, leaf in leaves.items()})
    top = {layer: params.pop(layer) for layer in TOP if layer in params} or None
    about = contents.about
    return Weights(
        params,
        architecture(width, shapes),
        read_preprocess(path, about["preprocess"]) if about else contents.preprocess,
        tuple(about.get("classes", ())),
        about.get("provenance", {"file": path.name, "layout": contents.layout}),
        top=top,
        source=str(path),
    )


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
    required = expected(shapes)
    unequal = [
        f"! {name} expected {list(required[name])}, "
        f"found {list(leaves[name].shape)}{_own_name(name, leaves[name])}"
        for name in sorted(required.keys() & shapes.keys())
        if shapes[name] != required[name]
    ]
    compare(
        f"{path}: not a whole VGG16 of width {width:g}",
        found=shapes,
        expected=required,
        unequal=unequal,
    )
    for name, leaf in leaves.items():
        if leaf.dtype not in DTYPES:
            raise InputError(
                f"{path}: leaf {name}: expected one of {', '.join(DTYPES)}, found {leaf.dtype}"
            )
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
            leaf: _read(path, f"{layer}/{leaf}", leaves[f"{layer}/{leaf}"])
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


def _read(path: Path, name: str, leaf: Leaf) -> np.ndarray:
    with np.errstate(over="ignore"):  # a float64 too large becomes infinite, and is refused below
        array = np.asarray(leaf.read()).astype(np.float32, order="C", copy=False)
    if bad := array.size - np.count_nonzero(np.isfinite(array)):
        where = f"{path}: leaf {name}{_own_name(name, leaf)}"
        raise InputError(f"{where}: expected finite numbers, found {bad} NaN or infinite")
    return array


def _own_name(name: str, leaf: Leaf) -> str:
    return "" if leaf.name == name else f" ({leaf.name})"


def _length(shape: Shape | None, otherwise: int) -> int:
    return shape[0] if shape is not None and len(shape) == 1 else otherwise


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
