"""Published weights by name: their URLs, sizes and hashes."""

import dataclasses
from pathlib import Path

from tljax.data.cache import default_folder
from tljax.errors import InputError
from tljax.files.download import Download, fetch, matches
from tljax.weights.contents import Weights
from tljax.weights.formats import read

KERAS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels"
)
# Trained on ImageNet. The layout decides the preprocessing: Caffe's for Keras, torch's for
# torchvision.
FILES = {
    "vgg16-imagenet-keras": Download(
        KERAS + ".h5", size=553467096, md5="64373286793e3c8b2b4e3219cbf3544b"
    ),
    "vgg16-imagenet-keras-notop": Download(
        KERAS + "_notop.h5", size=58889256, md5="6d6bbae143d832006294945121d1f1fc"
    ),
    "vgg16-imagenet-torchvision": Download(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        size=553433881,
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
}


def load(name_or_path: str | Path, *, progress: bool = True) -> Weights:
    """Load weights by a known name, or from a file of any known format.

    A named file is downloaded at first use and verified at each.
    """
    name = str(name_or_path)
    weights = read(file_of(name, progress=progress))
    if name not in FILES:
        return weights
    return dataclasses.replace(
        weights, provenance=weights.provenance | {"name": name, "url": FILES[name].url}
    )


def file_of(name_or_path: str | Path, *, progress: bool = True) -> Path:
    """Return the verified file of a known name, or the path itself.

    InputError if there is neither.
    """
    name = str(name_or_path)
    if name in FILES:
        return _fetched(name, progress=progress)
    if not Path(name).exists():
        raise InputError(
            f"{name}: expected a weights file or one of {', '.join(FILES)}, found nothing"
        )
    return Path(name)


def cached(name: str) -> Path:
    """Return where the file of a known name is kept: in `$XDG_CACHE_HOME/tljax/weights`."""
    return default_folder() / "weights" / FILES[name].url.rsplit("/", 1)[-1]


def _fetched(name: str, *, progress: bool) -> Path:
    """Download and verify the file; InputError says what to do without a connection."""
    file, path = FILES[name], cached(name)
    try:
        fetch(file, path, progress=progress)
    except InputError as error:
        other = path.is_file() and not matches(file, path)
        place = f"{path} (the file there now has other bytes)" if other else str(path)
        hint = (
            f"without a connection, fetch it by hand and put it at {place}, "
            "or give a file: --weights FILE"
        )
        raise InputError(f"{name}: {error}; {hint}") from None
    return path
