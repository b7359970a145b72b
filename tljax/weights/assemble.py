"""The leaves of another library's file, as the weights of one base."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from tljax.models import build
from tljax.models.architecture import Shape
from tljax.models.build import Network
from tljax.tree import Flat, Json, flatten, nest
from tljax.weights import vgg16
from tljax.weights.contents import Contents, Weights, read_preprocess
from tljax.weights.leaves import check_leaves, read_leaf

STATISTICS = ("mean", "var")  # the leaves of `batch_stats`, by Flax's names


def assemble(path: Path, contents: Contents) -> Weights:
    """Read every leaf as float32, once all declared shapes are those of one base.

    InputError naming the file and its missing, extra or unequal leaves, or one that is not finite.
    """
    leaves, about = contents.leaves, contents.about
    shapes = {name: leaf.shape for name, leaf in leaves.items()}
    architecture = _architecture(path, contents, shapes)
    params, statistics, top = parted(
        path,
        {name: read_leaf(path, name, leaf) for name, leaf in leaves.items()},
        top=vgg16.TOP,
    )
    provenance: Json = {"file": path.name, "layout": contents.layout}
    provenance |= {"size": contents.size} if contents.size else {}
    provenance |= {"left_out": list(contents.left_out)} if contents.left_out else {}
    return Weights(
        params,
        architecture,
        read_preprocess(path, about["preprocess"]) if about else contents.preprocess,
        tuple(about.get("classes", contents.classes if top else ())),
        about.get("provenance", provenance),
        top=top or None,
        source=str(path),
        statistics=statistics,
    )


def parted(path: Path, flat: Flat, *, top: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """Part leaves by slash path into nested `(parameters, batch statistics, layers of the top)`."""
    kinds: list[Flat] = [{}, {}, {}]
    for name, leaf in flat.items():
        parts = name.split("/")
        kinds[2 if parts[0] in top else int(parts[-1] in STATISTICS)][name] = leaf
    params, statistics, last = (nest(path, kind) for kind in kinds)
    return params, statistics, last


def expected(contents: Contents) -> dict[str, Shape]:
    """Map each leaf that the base has, and its top where the file has one, to its shape.

    The leaves are those that the base's module makes; the options were read from the file.
    """
    shapes = {name: leaf.shape for name, leaf in contents.leaves.items()}
    if contents.base == "vgg16":
        return vgg16.expected(shapes)
    network = Network(contents.base, contents.options)
    side = contents.size or network.architecture.least_size
    output, variables = jax.eval_shape(
        build.base_of(network).init_with_output,
        jax.random.key(0),
        network.architecture.example(side),
    )
    required = {name: leaf.shape for tree in variables.values() for name, leaf in _flat(tree)}
    last = vgg16.TOP[-1]
    if any(name.startswith(f"{last}/") for name in shapes):
        bias = shapes.get(f"{last}/bias", ())
        classes = bias[0] if len(bias) == 1 else 1000
        required |= {
            f"{last}/kernel": (output[0].shape[-1], classes),
            f"{last}/bias": (classes,),
        }
    return required


def _architecture(path: Path, contents: Contents, shapes: Mapping[str, Shape]) -> Json:
    if contents.base == "vgg16":
        return vgg16.architecture(vgg16.check(path, contents.leaves), shapes)
    where = f"{path}: not a whole {contents.base} ({contents.layout})"
    check_leaves(where, path, contents.leaves, expected(contents))
    size = {"size": contents.size} if contents.size else {}
    return {"name": contents.base, **contents.options, **size}


def _flat(tree: Any) -> list[tuple[str, Any]]:
    return list(flatten(tree).items())
