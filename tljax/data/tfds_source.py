"""A prepared TFDS data set -> listings, without TensorFlow: array_record files, our own decoding.

TFDS decodes with OpenCV where that is installed and Pillow elsewhere, and a palette image into its indices.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError
from tensorflow_datasets.core import constants, read_only_builder, registered
from tqdm import tqdm

from tljax.data import cats_vs_dogs, photos
from tljax.data.photos import Listing
from tljax.errors import InputError

VALIDATION = ("validation", "test")  # the first that is there; a second one is for the test


def listings(name: str, *, data_dir: pathlib.Path | None, progress: bool) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """(classes, {"train", maybe "validation", "test": ...}); a test split alone is the validation.

    `name` is TFDS's: "set", "set/config" or "set:version". `data_dir` is by default TFDS's, `$TFDS_DATA_DIR`.
    cats_vs_dogs is prepared from its published archive where it is not there.
    """
    folder = pathlib.Path(data_dir or os.environ.get("TFDS_DATA_DIR") or constants.DATA_DIR).expanduser()
    builder = _find(name, folder)
    if builder is None and name == cats_vs_dogs.NAME:
        cats_vs_dogs.prepare(folder, archive=cats_vs_dogs.PUBLISHED, progress=progress)
        builder = _find(name, folder)
    if builder is None:
        found = f"expected a prepared set in {folder}, found none"
        raise InputError(f"tfds:{name}: {found}; {_how(name, folder)}")
    image, label, classes = _features(name, builder)
    validation = [split for split in VALIDATION if split in builder.info.splits]
    splits = {"train": "train"} | dict(zip(("validation", "test"), validation, strict=False))
    found = {}
    for ours, theirs in splits.items():
        records = _records(name, builder, theirs, image=image, folder=folder)
        with _damage_named(name, folder):
            found[ours] = _listing(records, theirs, image=image, label=label, progress=progress)
        if not np.isin(found[ours].labels, range(len(classes))).all():
            raise InputError(f"tfds:{name}: expected a label for every photograph of {theirs}, found some without")
    return classes, found


def _find(name: str, folder: pathlib.Path):
    """The builder of a set prepared in `folder`, or None. Only files are looked at: the set needs no code."""
    try:
        with _damage_named(name, folder):
            return read_only_builder.builder_from_files(name, data_dir=folder)
    except registered.DatasetNotFoundError:
        return None


def _features(name: str, builder) -> tuple[str, str, tuple[str, ...]]:
    """(key of the one image, key of the one class label, its classes)."""
    features = builder.info.features
    features = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = {
        key: tuple(feature.names) for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)
    }
    if len(images) != 1 or len(labels) != 1:
        raise InputError(f"tfds:{name}: expected one image and one class label, found {images} and {list(labels)}")
    [(label, classes)] = labels.items()
    return images[0], label, classes


def _records(name: str, builder, split: str, *, image: str, folder: pathlib.Path):
    """Random access to a split, its images left encoded."""
    info = builder.info
    if split not in info.splits:
        raise InputError(f"tfds:{name}: expected a split {split}, found {', '.join(info.splits) or 'none'}")
    formats = [format.value for format in info.available_file_formats()]
    if "array_record" not in formats:  # of parquet, TFDS loses examples without a word
        found = f"found {', '.join(formats)} files in {builder.data_dir}"
        raise InputError(f"tfds:{name}: expected array_record, {found}; {_how(name, 'ANOTHER_FOLDER')}")
    skip = {image: tfds.decode.SkipDecoding()}
    with _damage_named(name, folder):
        return builder.as_data_source(split=split, decoders=skip, file_format="array_record")


def _listing(records, split: str, *, image: str, label: str, progress: bool) -> Listing:
    """Reads every record once, for its digest, label and file name."""
    ids, labels, digests = [], [], []
    for i in tqdm(range(len(records)), desc=f"hash {split}", unit="img", disable=not progress):
        record = records[i]
        ids.append(f"{split}/{_file_name(record, i)}")
        labels.append(int(record[label]))
        digests.append(photos.sha256(record[image]))
    return Listing(tuple(ids), np.array(labels, np.int32), tuple(digests), lambda i: records[i][image])


def _file_name(record: dict, index: int) -> str:
    """The photograph's own name where the set keeps it, its place in the split where not."""
    for key in ("image/filename", "filename", "file_name"):
        if isinstance(record.get(key), bytes):
            return record[key].decode()
    return f"{index:06d}"


@contextlib.contextmanager
def _damage_named(name: str, folder: pathlib.Path) -> Iterator[None]:
    """InputError for what TFDS and array_record raise on bad names, damaged files and missing ones."""
    try:
        yield
    except registered.DatasetNotFoundError:  # a ValueError, and no damage
        raise
    except (RuntimeError, ValueError, OSError, ParseError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"tfds:{name}: cannot be read from {folder} ({reason})") from None


def _how(name: str, folder: pathlib.Path | str) -> str:
    """What to do about a set that is not there in a format that can be read without TensorFlow."""
    return (
        "prepare it once where TensorFlow is installed (pip install 'tljax[tf]'): "
        f"tfds build {name} --file_format=array_record --data_dir={folder}"
    )
