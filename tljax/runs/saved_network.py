"""The network that a finished checkpoint describes, checked: the file may be a stranger's."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tljax.errors import InputError
from tljax.files.disk import Json
from tljax.models.build import BASES, PADDINGS, Network
from tljax.models.heads import Classifier
from tljax.train.step import Variables
from tljax.tree import compare, flatten, kind, statistics

MAX_SIDE = 4096  # pixels of the square images: a batch of 32 takes 6 GB at most as float32
MAX_UNITS = 1 << 20


class Saved(NamedTuple):
    """The network of a checkpoint, and what its photographs are."""

    network: Network
    classes: tuple[str, ...]  # in the order of the labels
    size: int  # pixels of a side


def described(meta: Json, *, where: Path) -> Saved:
    """Read what a checkpoint's `meta` says of its network; InputError for what no run writes."""

    def check(right: bool, name: str, found: object) -> None:
        if not right:
            raise InputError(
                f"{where}: meta: {name}: expected what a run writes, found {str(found)[:60]!r}"
            )

    entry: Any = meta.get("network")
    classes: Any = meta.get("classes")
    size: Any = meta.get("size")
    fields = {field.name: type(field.default) for field in dataclasses.fields(Network)}
    # A run of an earlier version may lack newer fields; it had their defaults.
    known = isinstance(entry, dict) and {"base", "width"} <= entry.keys() <= fields.keys()
    check(known, "network", entry)
    for name, expected in {name: fields[name] for name in entry}.items():
        value = entry[name]
        check(
            type(value) is expected or (expected is float and type(value) is int),
            f"network.{name}",
            value,
        )
    network = Network(**entry)
    check(network.base in BASES, "network.base", network.base)
    check(network.padding in PADDINGS, "network.padding", network.padding)
    check(math.isfinite(network.width) and 0 < network.width <= 64, "network.width", network.width)
    check(0 <= network.hidden <= MAX_UNITS, "network.hidden", network.hidden)
    check(
        isinstance(classes, list) and all(isinstance(name, str) for name in classes),
        "classes",
        classes,
    )
    check(2 <= len(classes) <= MAX_UNITS, "classes", classes)
    check(type(size) is int and 1 <= size <= MAX_SIDE, "size", size)
    check("preprocess" in meta, "preprocess", None)
    return Saved(network, tuple(classes), size)


def refuse_other(variables: Variables, module: Classifier, *, size: int, where: Path) -> None:
    """Refuse parameters and batch statistics that the module does not take.

    InputError lists what is missing (-), what is there besides (+) and what is otherwise (!).
    """
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    expected = _leaves(jax.eval_shape(module.init, jax.random.key(0), image))
    found = _leaves(variables)
    unequal = [
        f"! {name} expected {kind(expected[name])}, found {kind(found[name])}"
        for name in sorted(found.keys() & expected.keys())
        if found[name].shape != expected[name].shape
    ]
    compare(f"{where} does not fit its network", found=found, expected=expected, unequal=unequal)


def _leaves(variables: Variables) -> Variables:
    """Name leaves of parameters by their path, statistics with the collection before it."""
    return {**flatten(variables["params"]), **flatten(statistics(variables))}
