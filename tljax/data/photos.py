"""Photographs on disk: which files belong to which class, and encoded bytes -> one uint8 square."""

import contextlib
import dataclasses
import hashlib
import io
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from tljax.errors import InputError

EXTENSIONS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif")
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "GIF",
)  # what the content may be; the rest of Pillow's plugins stay shut
FILTER = (
    "bilinear"  # Pillow's, which widens with the reduction (antialiased); nearest differs by 4 grey levels
)
MAX_PIXELS = 89_478_485  # Pillow's own warning level: 256 MiB of RGB
DECODER = 1  # counts changes of `decode` that change pixels, so that older caches are not read


class CorruptPhoto(InputError):
    """A file that should be a photograph and cannot be decoded whole."""


@dataclasses.dataclass(frozen=True)
class Listing:
    """The encoded photographs of one split, not read yet."""

    ids: tuple[str, ...]
    labels: np.ndarray  # int32 [N]
    digests: tuple[str, ...]  # hex sha256 of the encoded bytes
    read: Callable[[int], bytes]  # i -> the encoded bytes of photograph i

    def take(self, indices: list[int]) -> "Listing":
        """The photographs at `indices`, in that order."""
        return Listing(
            ids=tuple(self.ids[i] for i in indices),
            labels=self.labels[indices],
            digests=tuple(self.digests[i] for i in indices),
            read=lambda i: self.read(indices[i]),
        )


def class_folders(folder: pathlib.Path) -> list[str]:
    """Names of the visible folders in `folder`, sorted."""
    return [name for name in _visible(folder) if (folder / name).is_dir()]


def photo_paths(folder: pathlib.Path, *, root: pathlib.Path) -> list[str]:
    """Paths relative to `root` of the visible files in `folder` with an image's extension, sorted.

    InputError for a link that leaves `root`: what a data set holds must not depend on the rest of the disk.
    """
    _inside(folder, root=root)
    names = [name for name in _visible(folder) if name.lower().endswith(EXTENSIONS)]
    with os.scandir(folder) as entries:
        kinds = {entry.name: (entry.is_symlink(), entry.is_dir()) for entry in entries}
    paths = [folder / name for name in names if not kinds[name][1]]
    for path in paths:
        if kinds[path.name][0]:
            _inside(path, root=root)
    return [path.relative_to(root).as_posix() for path in paths]


def read_file(path: pathlib.Path) -> bytes:
    """The file's bytes; InputError naming it when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, *, size: int, name: str) -> np.ndarray:
    """Encoded bytes -> uint8 [size, size, 3], RGB, upright by EXIF, the whole image, aspect not kept.

    Alpha is dropped, not composited: the colours stored under transparent pixels show. 16-bit grey is scaled
    by 1/257, where Pillow would clip at 255. The first frame of an animation counts.
    Raises CorruptPhoto, naming `name`.
    """
    from PIL import Image

    rgb = _rgb(_open(data, name=name))
    square = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(square)


@contextlib.contextmanager
def pillow_warnings() -> Iterator[None]:
    """Silences what Pillow warns about and `decode` answers itself: size bombs and unreadable EXIF blocks.

    To be entered once around all threads: `warnings.catch_warnings` is not safe inside them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _open(data: bytes, *, name: str):
    """A loaded, upright Pillow image."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise CorruptPhoto(f"{name}: {image.width} x {image.height} pixels, more than {MAX_PIXELS}")
        image.load()
        return ImageOps.exif_transpose(image)
    except CorruptPhoto:
        raise
    except UnidentifiedImageError:
        raise CorruptPhoto(f"{name}: not a JPEG, PNG, WebP, BMP or GIF image") from None
    except Exception as error:  # on hostile bytes Pillow's plugins raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorruptPhoto(f"{name}: corrupt photograph ({reason})") from None


def _rgb(image):
    """Any of Pillow's modes -> RGB."""
    from PIL import Image

    if image.mode.startswith("I"):  # I;16, I;16B, and I, which older Pillows use for 16-bit PNG
        grey = np.clip(np.asarray(image).astype(np.float32), 0, 65535) / 257 + 0.5
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns; the colours are the same
    return image.convert("RGB")


def _visible(folder: pathlib.Path) -> list[str]:
    """Names in `folder` that do not start with a dot, sorted."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


def _inside(path: pathlib.Path, *, root: pathlib.Path) -> None:
    """InputError if `path`, links followed, lies outside `root`."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{path}: a link that leaves {root}; expected photographs inside the folder")
