"""A prepared TFDS data set -> listings, without TensorFlow: array_record files, our own decoding.

TFDS decodes with OpenCV where that is installed and Pillow elsewhere, and a palette image into its indices.
"""

import os
import pathlib

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants, read_only_builder, registered
from tqdm import tqdm

from tljax.data import cats_vs_dogs, photos
from tljax.data.photos import Listing
from tljax.errors import InputError

VALIDATION = ("validation", "test")  # the first that is there


def listings(
    name: str, *, data_dir: pathlib.Path | None, progress: bool
) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """(classes, {"train": ..., "validation": ...}); without a validation or test split, "train" only.

    `name` is TFDS's: "set", "set/config" or "set:version". `data_dir` is by default TFDS's, `$TFDS_DATA_DIR`.
    cats_vs_dogs is prepared from its published archive where it is not there.
    """
    folder = pathlib.Path(data_dir or os.environ.get("TFDS_DATA_DIR") or constants.DATA_DIR).expanduser()
    builder = _find(name, folder)
    if builder is None and name == cats_vs_dogs.NAME:
        cats_vs_dogs.prepare(folder, progress=progress)
        builder = _find(name, folder)
    if builder is None:
        raise InputError(
            f"tfds:{name}: expected a prepared set in {folder}, found none; {_how(name, folder)}"
        )
    image, label = _keys(name, builder.info.features)
    splits = {"train": "train"}
    validation = [split for split in VALIDATION if split in builder.info.splits]
    if validation:
        splits["validation"] = validation[0]
    classes = tuple(builder.info.features[label].names)
    return classes, {
        ours: _listing(name, builder, theirs, image=image, label=label, folder=folder, progress=progress)
        for ours, theirs in splits.items()
    }


def _find(name: str, folder: pathlib.Path):
    """The builder of a set prepared in `folder`, or None. Only files are looked at: the set needs no code."""
    try:
        return read_only_builder.builder_from_files(name, data_dir=folder)
    except registered.DatasetNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise InputError(f"tfds:{name}: cannot be read from {folder} ({_one_line(error)})") from None


def _keys(name: str, features) -> tuple[str, str]:
    """The names of the one image and the one class label."""
    found = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in found.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in found.items() if isinstance(feature, tfds.features.ClassLabel)]
    if len(images) != 1 or len(labels) != 1:
        raise InputError(f"tfds:{name}: expected one image and one class label, found {images} and {labels}")
    return images[0], labels[0]


def _listing(
    name: str, builder, split: str, *, image: str, label: str, folder: pathlib.Path, progress: bool
) -> Listing:
    """Reads every record once, for its digest, label and file name."""
    try:
        records = builder.as_data_source(split=split, decoders={image: tfds.decode.SkipDecoding()})
    except (ValueError, NotImplementedError):
        found = f"found {builder.info.file_format.value} files in {builder.data_dir}"
        raise InputError(f"tfds:{name}: expected array_record, {found}; {_how(name, folder)}") from None
    expected = builder.info.splits[split].num_examples
    if len(records) != expected:
        raise InputError(f"tfds:{name}: expected {expected} photographs for {split}, found {len(records)}")
    ids, labels, digests = [], [], []
    for i in tqdm(range(expected), desc=f"hash {split}", unit="img", disable=not progress):
        record = records[i]
        ids.append(f"{split}/{_file_name(record, i)}")
        labels.append(int(record[label]))
        digests.append(photos.sha256(record[image]))
    classes = builder.info.features[label].num_classes
    if not all(0 <= value < classes for value in labels):
        raise InputError(f"tfds:{name}: expected labels 0 to {classes - 1} for {split}, found others")
    return Listing(tuple(ids), np.array(labels, np.int32), tuple(digests), lambda i: records[i][image])


def _file_name(record: dict, index: int) -> str:
    """The photograph's own name where the set keeps it, its place in the split where not."""
    for key in ("image/filename", "filename", "file_name"):
        if isinstance(record.get(key), bytes):
            return record[key].decode()
    return f"{index:06d}"


def _how(name: str, folder: pathlib.Path) -> str:
    """What to do about a set that is not there in a format that can be read without TensorFlow."""
    return (
        "prepare it once where TensorFlow is installed (pip install 'tljax[tf]'): "
        f"tfds build {name} --file_format=array_record --data_dir={folder}"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
