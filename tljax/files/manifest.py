"""Manifests of checkpoints: dtype, shape and sha256 of every leaf, and its writer's own JSON."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import json
from typing import Any, cast

from tljax.errors import InputError
from tljax.files.disk import Json
from tljax.tree import compare, json_digest, kind, leaf_digest, leaves

Items = dict[str, Any]  # the trees of a checkpoint, by name
_OF_A_LEAF = {"dtype": str, "shape": list, "sha256": str}
_DTYPES = (
    "float32",
    "bfloat16",
    "float16",
    "float64",
    "int32",
    "uint32",
    "int64",
    "bool",
    "uint8",
    "int8",
    "key<fry>",
)


def make(items: Items, *, meta: Json, where: str) -> Json:
    """Describe the trees in `items` in a JSON document; InputError if `meta` is not plain JSON."""
    described = {
        name: {
            "dtype": str(leaf.dtype),
            "shape": list(leaf.shape),
            "sha256": leaf_digest(name, leaf),
        }
        for name, leaf in leaves(items).items()
    }
    try:
        document = json.loads(json.dumps({"meta": meta, "leaves": described}))
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: meta must be plain JSON: {error}") from None
    return document | {"digest": json_digest(document)}


def check_whole(document: object, *, where: str) -> None:
    """Check that the document itself is unchanged; InputError if it is not."""
    manifest = cast(Json, document) if isinstance(document, dict) else {}
    if not manifest or manifest.get("digest") != json_digest(manifest):
        raise InputError(f"{where}: meta is not what was saved (sha256)")
    described = manifest.get("leaves")
    if not isinstance(manifest.get("meta"), dict) or not isinstance(described, dict):
        raise InputError(f"{where}: meta: expected objects meta and leaves")
    for name, leaf in described.items():
        if not isinstance(leaf, dict) or not all(
            isinstance(leaf.get(x), k) for x, k in _OF_A_LEAF.items()
        ):
            raise InputError(
                f"{where}: meta: leaf {name[:80]!r}: expected its dtype, shape and sha256"
            )
        whole = (
            all(type(side) is int and 0 <= side < 2**31 for side in leaf["shape"])
            and len(leaf["shape"]) <= 8
        )
        if not whole or leaf["dtype"] not in _DTYPES:
            raise InputError(
                f"{where}: meta: leaf {name[:80]!r}: expected numbers, found {str(leaf)[:80]}"
            )


def check_fit(manifest: Json, target: Items, *, where: str) -> None:
    """Compare a document with `target`; an InputError lists the leaves that do not fit.

    Missing ones are marked (-), extra ones (+), those of another kind (!).
    """
    expected = {name: kind(leaf) for name, leaf in leaves(target).items()}
    saved = {name: f"{leaf['dtype']}{leaf['shape']}" for name, leaf in manifest["leaves"].items()}
    unequal = [
        f"! {name} expected {expected[name]}, found {saved[name]}"
        for name in expected
        if saved.get(name, expected[name]) != expected[name]
    ]
    compare(f"{where} does not fit the state", found=saved, expected=expected, unequal=unequal)


def verify(manifest: Json, items: Items, *, where: str) -> None:
    """Check every leaf's bits; InputError names the first leaf that is not what was saved."""
    for name, leaf in leaves(items).items():
        if leaf_digest(name, leaf) != manifest["leaves"][name]["sha256"]:
            raise InputError(
                f"{where}: leaf {name}: its bytes are not those that were saved (sha256)"
            )
