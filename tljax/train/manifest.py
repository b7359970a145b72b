"""What a checkpoint promises: the dtype, shape and sha256 of every leaf, beside its writer's own notes."""

import json
from typing import Any

import jax

from tljax.errors import InputError
from tljax.weights.safe import json_digest
from tljax.weights.tree import compare, kind, leaf_digest


def make(items: dict[str, Any], *, meta: dict, where: str) -> dict:
    """A JSON document over the trees in `items`; InputError if `meta` is not plain JSON."""
    described = {
        name: {"dtype": str(leaf.dtype), "shape": list(leaf.shape), "sha256": leaf_digest(name, leaf)}
        for name, leaf in leaves(items).items()
    }
    try:
        document = json.loads(json.dumps({"meta": meta, "leaves": described}))
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: meta must be plain JSON: {error}") from None
    return document | {"digest": json_digest(document)}


def leaves(items: dict[str, Any]) -> dict[str, Any]:
    """Slash path, beginning with the item's name, -> leaf of any pytree."""
    found = jax.tree_util.tree_leaves_with_path(items)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in found}


def check_whole(manifest: Any, *, where: str) -> None:
    """InputError unless the document itself is as it was made."""
    if not isinstance(manifest, dict) or manifest.get("digest") != json_digest(manifest):
        raise InputError(f"{where}: meta is not what was saved (sha256)")


def check_fit(manifest: dict, target: dict[str, Any], *, where: str) -> None:
    """InputError listing leaves of `target` missing (-), left over (+) or of another kind (!)."""
    wanted = {name: kind(leaf) for name, leaf in leaves(target).items()}
    saved = {name: f"{leaf['dtype']}{leaf['shape']}" for name, leaf in manifest["leaves"].items()}
    unequal = [
        f"! {name} expected {wanted[name]}, found {saved[name]}"
        for name in wanted
        if saved.get(name, wanted[name]) != wanted[name]
    ]
    compare(f"{where} does not fit the state", found=saved, expected=wanted, unequal=unequal)


def verify(manifest: dict, items: dict[str, Any], *, where: str) -> None:
    """InputError naming the first leaf that is not, bit for bit, what was saved."""
    for name, leaf in leaves(items).items():
        if leaf_digest(name, leaf) != manifest["leaves"][name]["sha256"]:
            raise InputError(f"{where}: leaf {name}: its bytes are not those that were saved (sha256)")
