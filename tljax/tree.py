"""Parameter trees as slash paths: their digest, and loading that omits nothing by accident."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from tljax.errors import InputError

LISTED = 8  # names of each kind in a message

PyTree = Any  # arrays in any of the containers that JAX knows
Tree = Mapping[str, Any]  # nested by name; leaves are arrays, or have at least a shape and a dtype
Params = dict[str, Any]  # parameters, nested by layer: {"conv1": {"kernel": ..., "bias": ...}}
Variables = dict[str, Any]  # what Flax's `apply` takes: {"params", "batch_stats"?}
Flat = dict[str, Any]  # a tree without nesting: slash path -> leaf
Json = dict[str, Any]  # a document of plain JSON


class HasShape(Protocol):
    """An array, or a description of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


def digest(params: Tree) -> str:
    """Compute a sha256 over paths, dtypes, shapes and bytes: equal exactly for equal parameters.

    The order of the tree does not matter.
    """
    leaves = (leaf_digest(name, leaf) for name, leaf in sorted(flatten(params).items()))
    return hashlib.sha256("\n".join(leaves).encode()).hexdigest()


def leaf_digest(name: str, leaf: ArrayLike) -> str:
    """Compute a sha256 over name, dtype, shape and bytes of one array of any plain dtype."""
    array = np.asarray(leaf, order="C")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # HDF5 may give big-endian
    content = hashlib.sha256(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
    content.update(array.reshape(-1).view(np.uint8).data)
    return content.hexdigest()


def merge(loaded: Tree, init: Tree, *, leave_out: Iterable[str] = (), source: str = "") -> Params:
    """Take every leaf of `init` from `loaded`, except the paths that `leave_out` matches.

    `leave_out` are regular expressions for whole paths. Leaves of `init` are arrays or
    jax.ShapeDtypeStruct; bfloat16 widens to float32 where `init` has float32. InputError names
    missing (-), extra (+) and unequal (!) leaves and `source`, the file they come from, or a
    pattern that matches no leaf.
    """
    ours, theirs = flatten(init), flatten(loaded)
    left_out = _matching(leave_out, sorted(ours.keys() | theirs.keys()))
    expected, present = ours.keys() - left_out, theirs.keys() - left_out
    unequal = [
        f"! {name} expected {kind(ours[name])}, found {kind(theirs[name])}"
        for name in sorted(expected & present)
        if theirs[name].shape != ours[name].shape
        or not np.can_cast(theirs[name].dtype, ours[name].dtype)
    ]
    where = f"{source}: " if source else ""
    compare(
        f"{where}loaded parameters do not fit the model",
        found=present,
        expected=expected,
        unequal=unequal,
    )
    leaves = {
        name: np.asarray(theirs[name]).astype(ours[name].dtype, copy=False) for name in expected
    }
    return nest("merge", ours | leaves)


def compare(
    problem: str, *, found: Iterable[str], expected: Iterable[str], unequal: Iterable[str] = ()
) -> None:
    """Check that the names agree; InputError lists missing (-), extra (+) and `unequal` ones.

    A long list is cut after its beginning, with the number of the rest.
    """
    found, expected = set(found), set(expected)
    missing = [f"- {name}" for name in sorted(expected - found)]
    extra = [f"+ {name}" for name in sorted(found - expected)]
    if lines := [*_shortened(missing), *_shortened(extra), *_shortened(list(unequal))]:
        raise InputError(f"{problem} (- missing, + extra): {'; '.join(lines)}")


def kind(leaf: HasShape) -> str:
    """Format dtype and shape of anything that has them, for messages: `float32[8, 2]`."""
    return f"{leaf.dtype}{list(leaf.shape)}"


def flatten(tree: Tree) -> Flat:
    """Flatten nested dicts to {"block5_conv1/kernel": leaf}; empty dicts vanish."""
    from flax import traverse_util

    return traverse_util.flatten_dict(dict(tree), sep="/")


def statistics(variables: Variables) -> Variables:
    """Return variables without the parameters: batch statistics, where there are some."""
    return {name: tree for name, tree in variables.items() if name != "params"}


def nest(where: str | Path, flat: Flat) -> Params:
    """Nest flat paths, the inverse of `flatten`.

    InputError, beginning with `where`, if a path is both a leaf and a folder.
    """
    from flax import traverse_util

    for name in flat:
        if inside := [path for path in flat if path.startswith(f"{name}/")]:
            raise InputError(
                f"{where}: leaf {name}: expected a leaf or a folder, found both: {inside[0]}"
            )
    return traverse_util.unflatten_dict(flat, sep="/")


def _shortened(lines: list[str]) -> list[str]:
    return (
        lines
        if len(lines) <= LISTED
        else [*lines[:LISTED], f"{lines[0][0]} {len(lines) - LISTED} more"]
    )


def _matching(patterns: Iterable[str], names: list[str]) -> set[str]:
    matching = set()
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        try:
            matched = {name for name in names if re.fullmatch(pattern, name)}
        except re.error as error:
            raise InputError(
                f"leave_out {pattern!r}: expected a regular expression: {error}"
            ) from None
        if not matched:
            raise InputError(
                f"leave_out {pattern!r} matches no leaf; leaves are {', '.join(names)}"
            )
        matching |= matched
    return matching


def json_digest(document: Json) -> str:
    """Compute the sha256 of a plain JSON document without its own field `digest`."""
    rest = {field: value for field, value in document.items() if field != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def leaves(items: dict[str, PyTree]) -> Flat:
    """Map slash paths to the leaves of any pytree; a path begins with the item's name."""
    import jax

    pairs = jax.tree_util.tree_leaves_with_path(items)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in pairs}
