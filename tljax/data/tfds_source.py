"""Prepared TFDS data sets -> listings, without TensorFlow: array_record files, our own decoding.

TFDS decodes with OpenCV where that is installed and with Pillow elsewhere, and decodes a palette
image to its indices.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError
from tensorflow_datasets.core import constants, read_only_builder, registered

from tljax import waiting
from tljax.data import cats_vs_dogs, photos
from tljax.data.photos import Listing
from tljax.errors import InputError

VALIDATION = ("validation", "test")  # the first present one; a second one is the test


def listings(
    name: str, *, data_dir: pathlib.Path | None, progress: bool, kind: str = "image"
) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """List a data set: `(classes, {"train", and maybe "validation", "test": listing})`.

    Its examples are of one "image" or of one "text" each.

    A test split without a validation split is the validation. `name` is TFDS's: "set", "set/config"
    or "set:version". `data_dir` is by default TFDS's, `$TFDS_DATA_DIR`. cats_vs_dogs is prepared
    from its published archive where it is not there.
    """
    folder = pathlib.Path(
        data_dir or os.environ.get("TFDS_DATA_DIR") or constants.DATA_DIR
    ).expanduser()
    builder = _find(name, folder)
    if builder is None and name == cats_vs_dogs.NAME:
        cats_vs_dogs.prepare(folder, archive=cats_vs_dogs.PUBLISHED, progress=progress)
        builder = _find(name, folder)
    if builder is None:
        problem = f"expected a prepared set in {folder}, found none"
        raise InputError(f"tfds:{name}: {problem}; {_how(name, folder)}")
    image, label, classes = _features(name, builder, kind=kind)
    validation = [split for split in VALIDATION if split in builder.info.splits]
    splits = {"train": "train"} | dict(zip(("validation", "test"), validation, strict=False))
    by_split = {}
    for split, stored in splits.items():
        records = _records(name, builder, stored, image=image, folder=folder)
        with _damage_named(name, folder):
            by_split[split] = _listing(records, stored, image=image, label=label, progress=progress)
        if not np.isin(by_split[split].labels, range(len(classes))).all():
            raise InputError(
                f"tfds:{name}: expected a label for every {kind} of {stored}, found some without"
            )
    return classes, by_split


def _find(name: str, folder: pathlib.Path):
    """Find the builder of a set prepared in `folder`, or None, from files alone.

    The set's own code is not needed.
    """
    try:
        with _damage_named(name, folder):
            return read_only_builder.builder_from_files(name, data_dir=folder)
    except registered.DatasetNotFoundError:
        return None


def _features(name: str, builder, *, kind: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the key of the one image or text, the key of the one class label, and its classes."""
    features = builder.info.features
    features = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    wanted = tfds.features.Image if kind == "image" else tfds.features.Text
    images = [key for key, feature in features.items() if isinstance(feature, wanted)]
    labels = {
        key: tuple(feature.names)
        for key, feature in features.items()
        if isinstance(feature, tfds.features.ClassLabel)
    }
    if len(images) != 1 or len(labels) != 1:
        raise InputError(
            f"tfds:{name}: expected one {kind} and one class label, "
            f"found {images} and {list(labels)}"
        )
    [(label, classes)] = labels.items()
    return images[0], label, classes


def _records(name: str, builder, split: str, *, image: str, folder: pathlib.Path):
    """Open random access to a split, with its images left encoded."""
    info = builder.info
    if split not in info.splits:
        raise InputError(
            f"tfds:{name}: expected a split {split}, found {', '.join(info.splits) or 'none'}"
        )
    formats = [format.value for format in info.available_file_formats()]
    if "array_record" not in formats:  # TFDS silently loses examples of parquet
        present = f"found {', '.join(formats)} files in {builder.data_dir}"
        raise InputError(
            f"tfds:{name}: expected array_record, {present}; {_how(name, 'ANOTHER_FOLDER')}"
        )
    pictures = isinstance(info.features[image], tfds.features.Image)
    skip = {image: tfds.decode.SkipDecoding()} if pictures else None  # texts are bytes as they are
    with _damage_named(name, folder):
        return builder.as_data_source(split=split, decoders=skip, file_format="array_record")


def _listing(records, split: str, *, image: str, label: str, progress: bool) -> Listing:
    """Read every record once, for its digest, label and file name."""
    ids, labels, digests = [], [], []
    said = f"look through {split}"
    for i in waiting.over(range(len(records)), said, unit="photographs", shown=progress):
        record = records[i]
        ids.append(f"{split}/{_file_name(record, i)}")
        labels.append(int(record[label]))
        digests.append(photos.sha256(record[image]))
    return Listing(
        tuple(ids), np.array(labels, np.int32), tuple(digests), lambda i: records[i][image]
    )


def _file_name(record: dict, index: int) -> str:
    """Return the photograph's own name where the set keeps it, else its index in the split."""
    for key in ("image/filename", "filename", "file_name"):
        if isinstance(record.get(key), bytes):
            return record[key].decode()
    return f"{index:06d}"


@contextlib.contextmanager
def _damage_named(name: str, folder: pathlib.Path) -> Iterator[None]:
    """Turn the errors that TFDS and array_record raise into an InputError.

    They come from bad names, damaged files and missing ones.
    """
    try:
        yield
    except registered.DatasetNotFoundError:  # a ValueError too, but no damage
        raise
    except (RuntimeError, ValueError, OSError, ParseError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"tfds:{name}: cannot be read from {folder} ({reason})") from None


def _how(name: str, folder: pathlib.Path | str) -> str:
    """Say how to prepare a set that is missing in a format readable without TensorFlow."""
    return (
        "prepare it once where TensorFlow is installed (pip install 'tljax[tf]'): "
        f"tfds build {name} --file_format=array_record --data_dir={folder}"
    )
