"""Trees as slash paths: digests, and loading that leaves nothing out by accident."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tljax.errors import InputError

LISTED = 8  # names of each kind that a message has


def digest(params: Mapping) -> str:
    """sha256 over paths, dtypes, shapes and bytes, in any order: equal exactly for equal parameters."""
    leaves = (leaf_digest(name, leaf) for name, leaf in sorted(flatten(params).items()))
    return hashlib.sha256("\n".join(leaves).encode()).hexdigest()


def leaf_digest(name: str, leaf) -> str:
    """sha256 over name, dtype, shape and bytes of one array of any plain dtype."""
    array = np.asarray(leaf, order="C")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # HDF5 may hand over big-endian
    content = hashlib.sha256(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
    content.update(array.reshape(-1).view(np.uint8).data)
    return content.hexdigest()


def merge(loaded: Mapping, init: Mapping, *, leave_out: Iterable[str] = (), source: str = "") -> dict:
    """`init` with every leaf taken from `loaded`, except paths that a pattern of `leave_out` fullmatches.

    Leaves of `init` are arrays or jax.ShapeDtypeStruct; bfloat16 widens to float32 where `init` says so.
    Raises InputError naming missing (-), extra (+) and unequal (!) leaves and `source`, the file they come from, or a
    pattern that matches no leaf.
    """
    ours, theirs = flatten(init), flatten(loaded)
    left_out = _matching(leave_out, sorted(ours.keys() | theirs.keys()))
    wanted, given = ours.keys() - left_out, theirs.keys() - left_out
    unequal = [
        f"! {name} expected {kind(ours[name])}, found {kind(theirs[name])}"
        for name in sorted(wanted & given)
        if theirs[name].shape != ours[name].shape or not np.can_cast(theirs[name].dtype, ours[name].dtype)
    ]
    where = f"{source}: " if source else ""
    compare(f"{where}loaded parameters do not fit the model", found=given, expected=wanted, unequal=unequal)
    taken = {name: np.asarray(theirs[name]).astype(ours[name].dtype, copy=False) for name in wanted}
    return nest("merge", ours | taken)


def compare(problem: str, *, found: Iterable[str], expected: Iterable[str], unequal: Iterable[str] = ()) -> None:
    """InputError listing names that are missing (-) or extra (+), then the lines of `unequal`; of long lists the
    beginning and how many more there are."""
    found, expected = set(found), set(expected)
    missing = [f"- {name}" for name in sorted(expected - found)]
    extra = [f"+ {name}" for name in sorted(found - expected)]
    if lines := [*_shortened(missing), *_shortened(extra), *_shortened(list(unequal))]:
        raise InputError(f"{problem} (- missing, + extra): {'; '.join(lines)}")


def kind(leaf) -> str:
    """dtype and shape of anything that has them, as messages write them: `float32[8, 2]`."""
    return f"{leaf.dtype}{list(leaf.shape)}"


def flatten(tree: Mapping) -> dict:
    """Nested dicts -> {"block5_conv1/kernel": leaf}; empty dicts vanish."""
    from flax import traverse_util

    return traverse_util.flatten_dict(dict(tree), sep="/")


def nest(where: str | Path, flat: dict) -> dict:
    """The inverse of `flatten`; InputError, beginning with `where`, if a path is both a leaf and a folder."""
    from flax import traverse_util

    for name in flat:
        if inside := [other for other in flat if other.startswith(f"{name}/")]:
            raise InputError(f"{where}: leaf {name}: expected a leaf or a folder, found both: {inside[0]}")
    return traverse_util.unflatten_dict(flat, sep="/")


def _shortened(lines: list[str]) -> list[str]:
    return lines if len(lines) <= LISTED else [*lines[:LISTED], f"{lines[0][0]} {len(lines) - LISTED} more"]


def _matching(patterns: Iterable[str], names: list[str]) -> set[str]:
    matching = set()
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        try:
            matched = {name for name in names if re.fullmatch(pattern, name)}
        except re.error as error:
            raise InputError(f"leave_out {pattern!r}: expected a regular expression: {error}") from None
        if not matched:
            raise InputError(f"leave_out {pattern!r} matches no leaf; leaves are {', '.join(names)}")
        matching |= matched
    return matching


def json_digest(document: dict) -> str:
    """sha256 of a plain JSON document, all but its own field `digest`."""
    rest = {field: value for field, value in document.items() if field != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def leaves(items: dict[str, Any]) -> dict[str, Any]:
    """Slash path, beginning with the item's name, -> leaf of any pytree."""
    import jax

    found = jax.tree_util.tree_leaves_with_path(items)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in found}
