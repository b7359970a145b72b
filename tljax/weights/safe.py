"""Our own weights files: safetensors with a JSON document that describes and verifies them."""

from pathlib import Path

from tljax.errors import InputError
from tljax.tree import Flat, digest, flatten, merge, nest
from tljax.weights import tensors
from tljax.weights.contents import Weights, read_preprocess

__all__ = ["Weights", "digest", "merge", "read", "write"]

FORMAT = 1
PARTS = ("top", "statistics")  # of `Weights`, beside the parameters of the base
FIELDS = {
    "architecture": dict,
    "preprocess": dict,
    "classes": list,
    "provenance": dict,
}


def write(path: str | Path, weights: Weights) -> str:
    """Write the file whole or not at all; return its sha256.

    InputError for what `read` would refuse.
    """
    path = Path(path)
    flat = _with_parts(path, weights)
    document = {
        "format": FORMAT,
        "architecture": weights.architecture,
        "preprocess": weights.preprocess.to_dict(),
        "classes": list(weights.classes),
        "provenance": weights.provenance,
    }
    # Absent where a file has none: files of a base alone keep their old bytes.
    document |= {part: True for part in PARTS if getattr(weights, part)}
    return tensors.write(path, flat, document)


def read(path: str | Path) -> Weights:
    """Read and verify a file of `write`.

    InputError naming the file, and the leaf, where something is not as written.
    """
    path = Path(path)
    flat, document = tensors.read(path, form=FORMAT, fields=FIELDS)
    params = nest(path, flat)
    parts = {part: params.pop(part, {}) for part in PARTS if document.get(part) is True}
    return Weights(
        params,
        document["architecture"],
        read_preprocess(path, document["preprocess"]),
        tuple(document["classes"]),
        document["provenance"],
        top=parts.get("top") or None,
        source=str(path),
        statistics=parts.get("statistics", {}),
    )


def is_ours(path: Path) -> bool:
    """Test whether a safetensors file, whole or not, has our metadata, or none that can be read."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            return tensors.KEY in (file.metadata() or {})
    except safetensors.SafetensorError:
        return True  # `read` reports what is wrong with it


def _with_parts(path: Path, weights: Weights) -> Flat:
    parts = {part: getattr(weights, part) for part in PARTS if getattr(weights, part)}
    for part in parts.keys() & weights.params.keys():
        raise InputError(f"{path}: leaf {part}: expected the base's layers only, beside a {part}")
    return flatten(weights.params | parts)
