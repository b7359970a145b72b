"""Contents of a weights file: parameters with all that is needed to use them, or unread leaves."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tljax.data.preprocess import Prepare, from_dict
from tljax.errors import InputError
from tljax.models.architecture import Option, Options
from tljax.tree import Json, Params, Variables, digest, flatten


@dataclasses.dataclass(frozen=True, repr=False)
class Weights:
    """Parameters and everything needed to use them.

    `architecture` and `provenance` are plain JSON.
    """

    params: Params  # the base: nested, float32 or bfloat16 numpy arrays
    architecture: Json  # {"name": "vgg16", "width": 0.5, "size"?: of its top's photographs}
    preprocess: Prepare
    classes: tuple[str, ...]  # of the task that they were trained on
    provenance: Json  # data source and digest, epochs, accuracy, versions
    top: Params | None = None  # the layers after the base, where the file has them
    source: str = dataclasses.field(default="", compare=False)  # the file, for messages
    statistics: Params = dataclasses.field(default_factory=dict)  # batch_stats of the base

    @property
    def variables(self) -> Variables:
        """Return the base's variables as its module takes them."""
        return {"params": self.params} | (
            {"batch_stats": self.statistics} if self.statistics else {}
        )

    @property
    def digest(self) -> str:
        """Digest parameters and statistics: sha256 in hex."""
        return digest(self.params | ({"batch_stats": self.statistics} if self.statistics else {}))

    def __repr__(self) -> str:
        """Say what the weights are, in one line and not in their numbers."""
        count = sum(leaf.size for leaf in flatten(self.params).values())
        name, where = self.architecture.get("name"), self.source or "made in memory"
        return f"Weights({name}, {count:,} parameters, {where})"


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One array of a file, as the file declares it; nothing is loaded before `read`."""

    name: str  # the file's own
    shape: tuple[int, ...]  # in Keras's layout: HWIO, (in, out)
    dtype: str  # "float32"
    read: Callable[[], np.ndarray]  # in Keras's layout too


@dataclasses.dataclass(frozen=True)
class Contents:
    """An open file of another library.

    `leaves` are keyed by our slash path (`block1_conv1/kernel`), or by the file's name where the
    base has no such leaf.
    """

    leaves: Mapping[str, Leaf]
    preprocess: Prepare  # the one that the layout's makers use
    layout: str  # for messages: "Keras HDF5"
    about: Json = dataclasses.field(default_factory=dict)  # tljax's note in the file: see `about`
    base: str = "vgg16"
    options: Options = dataclasses.field(default_factory=dict[str, Option])
    size: int | None = None  # pixels of a side of the photographs it was trained on, where known
    classes: tuple[str, ...] = ()  # of its top
    left_out: tuple[str, ...] = ()  # arrays of the file that are none of the base, by its names


ABOUT = {"preprocess": dict, "classes": list, "provenance": dict}


def about(path: str | Path, weights: Weights) -> str:
    """Encode what other layouts have no place for as JSON; InputError if it is not plain JSON."""
    document = {
        "preprocess": weights.preprocess.to_dict(),
        "classes": list(weights.classes),
        "provenance": weights.provenance,
    }
    try:
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: provenance must be plain JSON: {error}") from None


def read_about(path: str | Path, text: str | bytes) -> Json:
    """Decode the JSON of `about`; InputError naming the field that is not as it was written."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: metadata: expected JSON, found {text[:40]!r}") from None
    check_fields(path, document if isinstance(document, dict) else {}, ABOUT)
    return document


def check_fields(path: str | Path, document: Json, kinds: dict[str, type]) -> None:
    """Check the fields; InputError for the first that is missing or of another type."""
    for field, kind in kinds.items():
        if not isinstance(document.get(field), kind):
            value = f"{document.get(field)!r}"[:40]
            raise InputError(
                f"{path}: metadata: {field}: expected a {kind.__name__}, found {value}"
            )


def read_preprocess(path: str | Path, stored: Json) -> Prepare:
    """Call `preprocess.from_dict`, with errors that name the file."""
    try:
        return from_dict(stored)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
