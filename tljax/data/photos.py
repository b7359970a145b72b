"""Encoded photographs: the listing of a split, and the decoding of bytes to uint8 of one size."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tljax.errors import InputError

# The accepted contents with their extensions; Pillow's other plugins stay unused.
KINDS = {
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
}
EXTENSIONS = tuple(extension for extensions in KINDS.values() for extension in extensions)
ADVICE = {  # of the kinds that not every Pillow reads
    "AVIF": "Pillow 11.3 or newer reads them",
    "HEIF": "pip install pillow-heif reads them",
}
# Pillow's, which widens as it reduces (antialiased); nearest is 4 grey levels away.
FILTER = "bilinear"
# Decoded and rotated by EXIF within 500 MB: up to 12 bytes per pixel were measured, 15 for TIFF,
# which need not be compressed, 15 for AVIF and 20 for WebP, whose decoders keep copies.
MAX_PIXELS = 40_000_000
MAX_OF = {"TIFF": 33_000_000, "AVIF": 30_000_000, "HEIF": 30_000_000, "WEBP": 25_000_000}
DECODER = 1  # raise it when `decode` gives other pixels, so that older caches are not read


Size = int | tuple[int, int]  # pixels: of a side of a square, or height and width


class CorruptPhoto(InputError):
    """A photograph that cannot be decoded whole."""


@dataclasses.dataclass(frozen=True)
class Listing:
    """The encoded photographs of one split, in order, not read yet."""

    ids: tuple[str, ...]
    labels: np.ndarray  # [N, ...], as the task has them
    digests: tuple[str, ...]  # hex sha256 of the encoded bytes
    read: Callable[[int], bytes]  # i -> the encoded bytes of photograph i

    def take(self, indices: Sequence[int]) -> "Listing":
        """Select the photographs at `indices`, in that order."""
        return Listing(
            ids=tuple(self.ids[i] for i in indices),
            labels=self.labels[list(indices)],
            digests=tuple(self.digests[i] for i in indices),
            read=lambda i: self.read(indices[i]),
        )


def sides(size: Size) -> tuple[int, int]:
    """Return height and width."""
    return (size, size) if isinstance(size, int) else size


def side(size: Size) -> int:
    """Return the side of a square; InputError for another shape."""
    height, width = sides(size)
    if height != width:
        raise InputError(f"expected square images, found {across(size)} pixels")
    return height


def across(size: Size | Sequence[int]) -> str:
    """Write a size as people do, the width first.

    >>> across(150), across((180, 240))
    ('150 x 150', '240 x 180')
    """
    height, width = (size, size) if isinstance(size, int) else size
    return f"{width} x {height}"


def sha256(data: bytes) -> str:
    """Compute the hex digest."""
    return hashlib.sha256(data).hexdigest()


@functools.cache
def formats() -> tuple[str, ...]:
    """List the formats of KINDS that Pillow reads here, HEIF by its plugin."""
    from PIL import Image, features

    with contextlib.suppress(ImportError):
        # Pillow knows a plugin's formats once it has been imported.
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    known = Image.OPEN.keys() & KINDS.keys()
    missing = {"AVIF"} if "AVIF" in known and not features.check("avif") else set()
    return tuple(kind for kind in KINDS if kind in known - missing)


def readable(name: str) -> bool:
    """Tell from its extension whether a file is a photograph that can be read here."""
    return name.lower().endswith(tuple(x for kind in formats() for x in KINDS[kind]))


def plugin(name: str) -> str:
    """Say what a photograph needs to be read here; empty for one that is read, or no photograph."""
    if readable(name):
        return ""
    return next((ADVICE[kind] for kind in ADVICE if name.lower().endswith(KINDS[kind])), "")


def decode(data: bytes, *, size: Size, name: str) -> np.ndarray:
    """Decode bytes to RGB uint8 [H, W, 3]: the whole image, upright by EXIF, aspect not kept.

    Alpha is dropped, not composited: the colours stored under transparent pixels show. 16-bit grey
    is scaled by 1/257, where Pillow would clip at 255. An animation gives its first frame.
    CorruptPhoto, naming `name`, where the bytes cannot be decoded.
    """
    return square(_open(data, name=name), size=size, name=name)


def sides_of(data: bytes, *, name: str) -> tuple[int, int]:
    """Read height and width of encoded bytes, upright by EXIF; CorruptPhoto as `decode`."""
    image = _upright(_open(data, name=name))
    return image.height, image.width


def square(image, *, size: Size, name: str = "image") -> np.ndarray:
    """Convert a Pillow image to RGB uint8 [H, W, 3], as `decode` does an encoded one."""
    from PIL import Image

    if image.mode in ("F", "LAB"):  # a range of its own, or colours Pillow does not convert
        raise CorruptPhoto(f"{name}: {image.mode} pixels, expected 8 or 16 bits of grey or RGB")
    rgb = _rgb(_upright(image))
    height, width = sides(size)
    return np.asarray(rgb.resize((width, height), Image.Resampling.BILINEAR))


@contextlib.contextmanager
def pillow_warnings() -> Iterator[None]:
    """Silence Pillow's warnings about what `decode` handles itself: size and unreadable EXIF.

    Enter it once around all threads: `warnings.catch_warnings` is not safe inside them.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield


def _open(data: bytes, *, name: str):
    """Open a Pillow image and decode it to its last pixel."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=formats())
        most = min(MAX_PIXELS, MAX_OF.get(image.format or "", MAX_PIXELS))
        if image.width * image.height <= most:
            image.load()
            return image
    except UnidentifiedImageError:
        needs, kinds = plugin(name), ", ".join(formats())
        reason = f"not read here: {needs}" if needs else f"not a photograph of {kinds}"
        reason = reason if data else "an empty file"
        raise CorruptPhoto(f"{name}: {reason}") from None
    except Exception as error:  # Pillow's plugins raise nearly anything on hostile bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorruptPhoto(f"{name}: corrupt photograph ({reason})") from None
    raise CorruptPhoto(f"{name}: {image.width} x {image.height} pixels, expected at most {most}")


def _upright(image):
    """Rotate the image as its EXIF says."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # unreadable EXIF says nothing about the way up; the pixels are whole
        return image


def _rgb(image):
    """Convert an image of any of Pillow's modes to RGB."""
    from PIL import Image

    if image.mode.startswith("I"):  # I;16, I;16B, and I, as which older Pillows open 16-bit PNG
        grey = np.asarray(image).astype(np.float32).clip(0, 65535) / 257 + 0.5
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB Pillow warns; the colours are the same
    return image.convert("RGB")
