"""Masks: the class of every pixel of a photograph as a number; read from PNG, checked, resized."""

import io
from collections.abc import Collection

import numpy as np

from tljax.data.photos import MAX_PIXELS
from tljax.errors import InputError
from tljax.tasks.pixels import VOID


def decode(data: bytes, *, name: str, void: Collection[int] = ()) -> np.ndarray:
    """Decode a PNG of class numbers, grey of 8 bits or fewer or palette, to uint8 `[H, W]`.

    The numbers in `void` become `VOID`. InputError, naming `name`, for another format or mode, such
    as RGB, whose colours are no numbers of classes.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels")
        image.load()
    except UnidentifiedImageError:
        found = "another file" if data else "an empty file"
        raise InputError(f"{name}: expected a PNG mask, found {found}") from None
    except Exception as error:  # Pillow raises nearly anything on hostile bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: expected a PNG mask, found another file ({reason})") from None
    if image.mode not in ("L", "P", "1"):
        expected = "class numbers as 8-bit grey or palette"
        raise InputError(f"{name}: expected {expected}, found {image.mode} pixels")
    mask = np.array(image, np.uint8)  # of a palette the indices, not the colours
    if image.mode == "L":  # of 2 or 4 bits, which Pillow stretches to 8
        mask //= {2: 85, 4: 17}.get(data[24], 1)
    mask[np.isin(mask, list(void))] = VOID
    return mask


def check_sides(mask: np.ndarray, sides: tuple[int, int], *, name: str) -> None:
    """Check that a mask has the height and width of its photograph; InputError names it."""
    if mask.shape != sides:
        (height, width), (high, wide) = sides, mask.shape
        expected = f"{width} x {height} pixels, as its photograph"
        raise InputError(f"{name}: expected a mask of {expected}, found {wide} x {high}")


def resized(mask: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """Resize a mask to `[H, W]` by the nearest pixel: no class appears that was not there."""
    if mask.shape == sides:
        return mask
    rows, cols = (
        np.minimum(((np.arange(to) + 0.5) * of / to).astype(np.intp), of - 1)
        for to, of in zip(sides, mask.shape, strict=True)
    )
    return mask[rows[:, None], cols]
