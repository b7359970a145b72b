"""Our own weights files: safetensors with a JSON document that describes and verifies them."""

import hashlib
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax.errors import InputError
from tljax.files import disk
from tljax.tree import (
    Flat,
    Json,
    compare,
    digest,
    flatten,
    json_digest,
    leaf_digest,
    merge,
    nest,
)
from tljax.weights import tensors
from tljax.weights.contents import Weights, check_fields, read_preprocess

__all__ = ["Weights", "digest", "merge", "read", "write"]

FORMAT = 1
KEY = "tljax"  # one key: safetensors writes several in random order, and the hash must be stable
DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(jnp.bfloat16)}
PARTS = ("top", "statistics")  # of `Weights`, beside the parameters of the base
FIELDS = {
    "architecture": dict,
    "preprocess": dict,
    "classes": list,
    "provenance": dict,
    "leaves": dict,
}


def write(path: str | Path, weights: Weights) -> str:
    """Write the file whole or not at all; return its sha256.

    InputError for what `read` would refuse.
    """
    path = Path(path)
    flat = _checked(_with_parts(path, weights), where=path)
    document = {
        "format": FORMAT,
        "architecture": weights.architecture,
        "preprocess": weights.preprocess.to_dict(),
        "classes": list(weights.classes),
        "provenance": weights.provenance,
        "leaves": {name: leaf_digest(name, leaf) for name, leaf in flat.items()},
    }
    # Absent where a file has none: files of a base alone keep their old bytes.
    document |= {part: True for part in PARTS if getattr(weights, part)}
    try:
        # The document that will be read: tuples become lists.
        document = json.loads(json.dumps(document, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: architecture and provenance must be plain JSON: {error}"
        ) from None
    text = json.dumps(document | {"digest": json_digest(document)})
    return _write_file(path, flat, text)


def read(path: str | Path) -> Weights:
    """Read and verify a file of `write`.

    InputError naming the file, and the leaf, where something is not as written.
    """
    import safetensors

    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: expected a weights file, found {'no file' if path.exists() else 'nothing'}"
        )
    try:
        with safetensors.safe_open(path, framework="np") as file:
            document = _document(path, file.metadata() or {})
            compare(
                f"{path}: leaves differ from its list",
                found=file.keys(),
                expected=document["leaves"],
            )
            flat = {name: _tensor(path, file, name) for name in document["leaves"]}
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: expected a whole safetensors file: {str(error)[:200]}") from None
    for name, leaf in flat.items():
        if leaf_digest(name, leaf) != document["leaves"][name]:
            raise InputError(
                f"{path}: leaf {name}: its bytes are not those that were written (sha256)"
            )
    params = nest(path, _checked(flat, where=path))
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
            return KEY in (file.metadata() or {})
    except safetensors.SafetensorError:
        return True  # `read` reports what is wrong with it


def _checked(flat: Flat, *, where: Path) -> dict[str, np.ndarray]:
    if not flat:
        raise InputError(f"{where}: expected parameters, found none")
    arrays = {}
    for name, leaf in flat.items():
        if (dtype := DTYPES.get(leaf.dtype.name)) is None:
            raise InputError(
                f"{where}: leaf {name}: expected float32 or bfloat16, found {leaf.dtype}"
            )
        # safetensors writes memory as it is: a transposed view would silently be saved scrambled.
        arrays[name] = np.asarray(leaf, dtype=dtype, order="C")
        if bad := arrays[name].size - np.count_nonzero(np.isfinite(arrays[name])):
            raise InputError(
                f"{where}: leaf {name}: expected finite numbers, found {bad} NaN or infinite"
            )
    return arrays


def _tensor(path: Path, file, name: str) -> np.ndarray:
    if (dtype := file.get_slice(name).get_dtype()) not in ("F32", "BF16"):
        raise InputError(f"{path}: leaf {name}: expected F32 or BF16, found {dtype}")
    return file.get_tensor(name)


def _document(path: Path, metadata: dict[str, str]) -> Json:
    if KEY not in metadata:
        raise InputError(
            f"{path}: expected weights written by tljax, found safetensors without its metadata"
        )
    try:
        document = json.loads(metadata[KEY])
    except (ValueError, RecursionError):
        raise InputError(f"{path}: metadata: expected JSON, found {metadata[KEY][:40]!r}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(
            f"{path}: metadata: expected format {FORMAT}, found {metadata[KEY][:40]!r}"
        )
    check_fields(path, document, FIELDS)
    if document.get("digest") != json_digest(document):
        raise InputError(f"{path}: metadata is not what was written (sha256)")
    return document


def _with_parts(path: Path, weights: Weights) -> Flat:
    parts = {part: getattr(weights, part) for part in PARTS if getattr(weights, part)}
    for part in parts.keys() & weights.params.keys():
        raise InputError(f"{path}: leaf {part}: expected the base's layers only, beside a {part}")
    return flatten(weights.params | parts)


def _write_file(path: Path, flat: dict[str, np.ndarray], text: str) -> str:
    with disk.replacing(path) as part:
        tensors.save(flat, part, metadata={KEY: text})
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
