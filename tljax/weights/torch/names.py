"""Torch's names and layouts <-> ours: of any base by its `Layout`s, and VGG16's both ways.

Convolutions OIHW <-> HWIO, dense (out, in) <-> (in, out); the first dense layer's inputs are in
channel, height, width order <-> height, width, channel.
"""

import functools
import math
from collections.abc import Callable, Mapping

import jax
import numpy as np

from tljax.data.preprocess import TORCH
from tljax.models.architecture import Architecture, Layout, Options, Shape
from tljax.models.build import BASES
from tljax.models.vgg import CONVS, LAYERS
from tljax.tree import Json
from tljax.weights.contents import Contents, Leaf
from tljax.weights.vgg16 import LAST, TOP


def _numbered() -> dict[str, str]:
    """Map torchvision's names to convolutions.

    N of features.N counts each convolution, its relu, and each pooling.
    """
    names, n = {}, 0
    for layer in LAYERS:
        names[f"features.{n}"] = layer
        n += 2 if layer in CONVS else 1
    return {name: layer for name, layer in names.items() if layer in CONVS}


FEATURES = _numbered()
TORCHVISION = FEATURES | {
    "classifier.0": "fc1",
    "classifier.3": "fc2",
    "classifier.6": "predictions",
}
TIMM = {"pre_logits.fc1": "fc1", "pre_logits.fc2": "fc2", "head.fc": "predictions"}
KERAS = TORCHVISION | TIMM
KINDS = {"weight": "kernel", "bias": "bias"}


def layout_of(shapes: Mapping[str, Shape]) -> tuple[Architecture, Layout, Options] | None:
    """Find the base whose file has leaves of these names and shapes, by the bases' `Layout`s.

    None for a file of another network; see `is_vgg16` for VGG16, which has no `Layout`.
    """
    for architecture in BASES.values():
        for layout in architecture.layouts:
            if (options := layout.options(shapes)) is not None:
                return architecture, layout, options
    return None


def is_vgg16(shapes: Mapping[str, Shape]) -> bool:
    """Tell whether most of the leaves that a VGG16's convolutions have are there."""
    there = [name for name in FEATURES if f"{name}.weight" in shapes]
    return 2 * len(there) > len(FEATURES)


def identified(leaves: Mapping[str, Leaf], *, kind: str, about: Json | None = None) -> Contents:
    """Find the base whose file has these leaves, and rename and turn them into ours.

    `kind` names the container, for messages. Layers in the place of the base's own top, as in a
    network fine-tuned for another task, are left out. A file of no base in `BASES` is taken for a
    VGG16, and its names are left for the check of leaves to report.
    """
    fitting = layout_of({name: leaf.shape for name, leaf in leaves.items()})
    if fitting is None:
        return Contents(to_keras(leaves), TORCH, kind, about or {})
    architecture, layout, options = fitting
    others = {name for name in leaves if _of_another_top(name, layout)}
    return Contents(
        _ours({name: leaf for name, leaf in leaves.items() if name not in others}, layout),
        layout.preprocess,
        f"{kind}, {layout.label}",
        about or {},
        base=architecture.name,
        options=options,
        size=layout.size,
        classes=layout.classes,
        left_out=tuple(sorted(others)),
    )


def _of_another_top(name: str, layout: Layout) -> bool:
    """Tell whether a leaf that the layout does not know lies where the base's top does."""
    parts = name.split(".")
    inside = [".".join([*parts[:count], "weight"]) for count in range(1, len(parts) - 1)]
    unknown = layout.ours(name) == name
    return unknown and any(layout.ours(each) == "predictions/kernel" for each in inside)


def _ours(leaves: Mapping[str, Leaf], layout: Layout) -> dict[str, Leaf]:
    """Rename a file's leaves to our paths, those of a layout to leave out being gone."""
    renamed: dict[str, Leaf] = {}
    for name, leaf in leaves.items():
        path = layout.ours(name)
        if path and path in renamed:
            path = name  # a second leaf for one place: reported as extra
        if path:
            turn = functools.partial(layout.turned, path)
            declared = jax.ShapeDtypeStruct(leaf.shape, np.float32)
            renamed[path] = _with(leaf, jax.eval_shape(turn, declared).shape, turn)
    return renamed


def to_keras(leaves: Mapping[str, Leaf]) -> dict[str, Leaf]:
    """Rename torch's leaves and turn them into Keras's layouts.

    Leaves that VGG16 does not have stay as they are.
    """
    last = next((name for name, layer in FEATURES.items() if layer == LAST), "")
    shape = leaves[f"{last}.bias"].shape if f"{last}.bias" in leaves else ()
    channels = shape[0] if len(shape) == 1 else 0
    renamed: dict[str, Leaf] = {}
    for name, leaf in leaves.items():
        module, _, kind = name.rpartition(".")
        layer = KERAS.get(module)
        if layer is None or kind not in KINDS or f"{layer}/{KINDS[kind]}" in renamed:
            renamed[name] = leaf
        else:
            renamed[f"{layer}/{KINDS[kind]}"] = (
                _turned(leaf, layer, channels) if kind == "weight" else leaf
            )
    return renamed


def from_keras(layers: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Convert `{"block1_conv1": {"kernel", "bias"}}` to `{"features.0.weight", "features.0.bias"}`.

    Names and layouts are torchvision's.
    """
    modules = {layer: module for module, layer in TORCHVISION.items()}
    channels, tensors = layers[LAST]["bias"].shape[0], {}
    for layer, leaves in layers.items():
        kernel = leaves["kernel"]
        if layer == "fc1":
            side = math.isqrt(kernel.shape[0] // channels)
            kernel = (
                kernel.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            )
        turned = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        tensors[f"{modules[layer]}.weight"] = np.ascontiguousarray(turned)
        tensors[f"{modules[layer]}.bias"] = leaves["bias"]
    return tensors


def _turned(leaf: Leaf, layer: str, channels: int) -> Leaf:
    """Turn a kernel into Keras's layout.

    One whose shape is impossible is left for the check of shapes to report.
    """
    shape = leaf.shape
    if layer in TOP and len(shape) == 4:  # timm's dense layers: convolutions over the whole image
        shape = (shape[0], math.prod(shape[1:]))
    if layer not in TOP and len(shape) == 4:
        out, into, height, width = shape
        return _with(leaf, (height, width, into, out), lambda array: array.transpose(2, 3, 1, 0))
    if layer not in TOP or len(shape) != 2:
        return leaf
    out, into = shape
    side = math.isqrt(into // channels) if layer == "fc1" and channels else 0
    if side * side * channels != into or not side:
        return _with(leaf, (into, out), lambda array: array.reshape(out, into).T)

    def height_width_channel(array: np.ndarray) -> np.ndarray:
        return array.reshape(out, channels, side, side).transpose(2, 3, 1, 0).reshape(into, out)

    return _with(leaf, (into, out), height_width_channel)


def _with(leaf: Leaf, shape: tuple[int, ...], turn: Callable[[np.ndarray], np.ndarray]) -> Leaf:
    return Leaf(leaf.name, shape, leaf.dtype, lambda: turn(leaf.read()))
