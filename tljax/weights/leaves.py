"""Leaves of a weights file, checked by name, shape and dtype before any is read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.models.architecture import Shape
from tljax.tree import compare
from tljax.weights.contents import Leaf

DTYPES = ("float16", "bfloat16", "float32", "float64")


def check_leaves(
    where: str, path: Path, leaves: Mapping[str, Leaf], required: Mapping[str, Shape]
) -> None:
    """Compare the declared leaves with those that are required.

    InputError, which begins with `where`, naming the missing, extra or unequal ones; or naming one
    of a dtype that no weights have.
    """
    shapes = {name: leaf.shape for name, leaf in leaves.items()}
    unequal = [
        f"! {name} expected {list(required[name])}, "
        f"found {list(leaves[name].shape)}{_own_name(name, leaves[name])}"
        for name in sorted(required.keys() & shapes.keys())
        if shapes[name] != required[name]
    ]
    compare(where, found=shapes, expected=required, unequal=unequal)
    for name, leaf in leaves.items():
        if leaf.dtype not in DTYPES:
            raise InputError(
                f"{path}: leaf {name}: expected one of {', '.join(DTYPES)}, found {leaf.dtype}"
            )


def read_leaf(path: Path, name: str, leaf: Leaf) -> np.ndarray:
    """Read a leaf as float32; InputError where a number in it is not finite."""
    with np.errstate(over="ignore"):  # a float64 too large becomes infinite, and is refused below
        array = np.asarray(leaf.read()).astype(np.float32, order="C", copy=False)
    if bad := array.size - np.count_nonzero(np.isfinite(array)):
        where = f"{path}: leaf {name}{_own_name(name, leaf)}"
        raise InputError(f"{where}: expected finite numbers, found {bad} NaN or infinite")
    return array


def _own_name(name: str, leaf: Leaf) -> str:
    return "" if leaf.name == name else f" ({leaf.name})"
