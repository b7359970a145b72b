"""safetensors files of our own: arrays, with a JSON document that describes and verifies them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax.errors import InputError
from tljax.files import disk
from tljax.tree import Flat, Json, compare, json_digest, leaf_digest
from tljax.weights.contents import check_fields

KEY = "tljax"  # one key: safetensors writes several in random order, and the hash must be stable
DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(jnp.bfloat16)}


def write(path: Path, flat: Flat, document: Json) -> str:
    """Write arrays and the document, whole or not at all; return the sha256 of the file.

    Digests of the arrays are added to the document, as `leaves`. InputError for what `read` would
    refuse.
    """
    arrays = _checked(flat, where=path)
    leaves = {name: leaf_digest(name, leaf) for name, leaf in arrays.items()}
    try:
        # The document that will be read: tuples become lists.
        document = json.loads(json.dumps({**document, "leaves": leaves}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path}: architecture and provenance must be plain JSON: {error}"
        ) from None
    text = json.dumps(document | {"digest": json_digest(document)})
    with disk.replacing(path) as part:
        save(arrays, part, metadata={KEY: text})
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path, *, form: int | str, fields: Mapping[str, type]) -> tuple[Flat, Json]:
    """Read and verify a file of `write`: `(arrays, document)`.

    `form` is what the document has for its `format`, `fields` what else it must have. InputError
    naming the file, and the leaf, where something is not as written.
    """
    import safetensors

    if not path.is_file():
        raise InputError(
            f"{path}: expected a weights file, found {'no file' if path.exists() else 'nothing'}"
        )
    try:
        with safetensors.safe_open(path, framework="np") as file:
            document = _document(path, file.metadata() or {}, form=form, fields=fields)
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
    return _checked(flat, where=path), document


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


def _document(
    path: Path, metadata: dict[str, str], *, form: int | str, fields: Mapping[str, type]
) -> Json:
    if KEY not in metadata:
        raise InputError(
            f"{path}: expected weights written by tljax, found safetensors without its metadata"
        )
    try:
        document = json.loads(metadata[KEY])
    except (ValueError, RecursionError):
        raise InputError(f"{path}: metadata: expected JSON, found {metadata[KEY][:40]!r}") from None
    if not isinstance(document, dict) or document.get("format") != form:
        raise InputError(f"{path}: metadata: expected format {form}, found {metadata[KEY][:40]!r}")
    check_fields(path, document, {**fields, "leaves": dict})
    if document.get("digest") != json_digest(document):
        raise InputError(f"{path}: metadata is not what was written (sha256)")
    return document


def save(tensors: dict[str, np.ndarray], path: Path, *, metadata: dict[str, str]) -> None:
    """Save tensors; OSError, in place of safetensors' own error, where that fails."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from None
