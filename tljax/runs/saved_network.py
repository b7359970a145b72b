"""The network that a finished checkpoint describes, checked: the file may be a stranger's."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax

from tljax.data.photos import Size
from tljax.errors import InputError
from tljax.files.disk import Json
from tljax.models.build import BASES, LAYERS, Network, checked
from tljax.models.classifiers import Classifier
from tljax.tasks.known import from_dict
from tljax.tasks.task import Task
from tljax.train.step import Variables
from tljax.tree import compare, flatten, kind, statistics

MAX_SIDE = 4096  # pixels of the square images: a batch of 32 takes 6 GB at most as float32
MAX_UNITS = 1 << 20


class Saved(NamedTuple):
    """The network of a checkpoint, and what its photographs are."""

    network: Network
    classes: tuple[str, ...]  # in the order of the labels
    size: Size  # pixels of a side, or height and width; or tokens
    task: Task

    @property
    def spec(self) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of one example as the network takes it."""
        return self.network.architecture.example(self.size)


def described(meta: Json, *, where: Path) -> Saved:
    """Read what a checkpoint's `meta` says of its network; InputError for what no run writes."""

    def check(right: bool, name: str, found: object) -> None:
        if not right:
            raise InputError(
                f"{where}: meta: {name}: expected what a run writes, found {str(found)[:60]!r}"
            )

    entry: Any = _flat_options(meta.get("network"))
    classes: Any = meta.get("classes")
    size: Any = meta.get("size")
    fields = {name: type(value) for name, value in dataclasses.asdict(Network()).items()}
    # A run of an earlier version may lack newer fields; it had their defaults.
    known = isinstance(entry, dict) and {"base", "options"} <= entry.keys() <= fields.keys()
    check(known, "network", entry)
    for name, value in entry.items():
        check(type(value) is fields[name], f"network.{name}", value)
    network = Network(**entry)
    if network.base not in BASES:
        raise InputError(
            f"{where}: its base is {network.base[:60]!r}, expected one of {', '.join(BASES)}; "
            "for a base of your own, name its file: --base FILE.py"
        )
    try:
        checked(network.base, network.options)
    except InputError as error:
        raise InputError(f"{where}: meta: network.options: {error}") from None
    check(0 <= network.hidden <= MAX_UNITS, "network.hidden", network.hidden)
    check(network.layers in LAYERS, "network.layers", network.layers)
    check(
        isinstance(classes, list) and all(isinstance(name, str) for name in classes),
        "classes",
        classes,
    )
    task = _task(meta.get("task", {}), where=where)
    check(task.least <= len(classes) <= MAX_UNITS, "classes", classes)
    several = isinstance(size, list) and len(size) == 2 and task.dense
    lengths: list[Any] = list(size) if several else [size]
    check(all(type(n) is int and 1 <= n <= MAX_SIDE for n in lengths), "size", size)
    size = (lengths[0], lengths[1]) if several else size
    check("preprocess" in meta, "preprocess", None)
    return Saved(network, tuple(classes), size, task)


def _task(document: Any, *, where: Path) -> Task:
    """Return the task; of a run of an earlier version it is classification."""
    if not isinstance(document, dict):
        raise InputError(f"{where}: meta: task: expected an object, found {str(document)[:60]!r}")
    try:
        return from_dict(document)
    except InputError as error:
        raise InputError(f"{where}: meta: {error}") from None


def _flat_options(entry: Any) -> Any:
    """Read the options of VGG16 and the CNN where runs kept them until 2026-11: flat."""
    if not isinstance(entry, dict) or "options" in entry or "width" not in entry:
        return entry
    mine = ("padding",) if entry.get("base") == "cnn" else ("width", "norm")
    flat = ("width", "norm", "padding")
    options = {name: entry[name] for name in mine if name in entry}
    return {name: v for name, v in entry.items() if name not in flat} | {"options": options}


def refuse_other(
    variables: Variables, module: Classifier, *, like: jax.ShapeDtypeStruct, where: Path
) -> None:
    """Refuse parameters and batch statistics that the module does not take.

    InputError lists what is missing (-), what is there besides (+) and what is otherwise (!).
    """
    expected = _leaves(jax.eval_shape(module.init, jax.random.key(0), like))
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
