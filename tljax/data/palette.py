"""Colours of classes: masks as palette PNG, and laid over their photographs."""

import colorsys
import io
from collections.abc import Sequence

import numpy as np

from tljax.tasks.pixels import VOID

# Okabe and Ito's for colour-blind readers, and more that keep apart from them and each other.
_FIRST = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (86, 180, 233),
    (213, 94, 0),
    (123, 63, 160),
    (160, 82, 45),
    (225, 30, 60),
    (120, 200, 80),
    (0, 60, 90),
)
_NONE = (128, 128, 128)
_GOLDEN = 0.618033988749895  # turns between hues: any number of them are spread evenly


def colours(classes: int) -> np.ndarray:
    """Return a colour for each class, uint8 `[classes, 3]`."""
    more = [
        [round(255 * x) for x in colorsys.hsv_to_rgb(i * _GOLDEN % 1, 0.5 + 0.25 * (i % 3), 0.9)]
        for i in range(max(0, classes - len(_FIRST)))
    ]
    return np.array([*_FIRST, *more][:classes], np.uint8)


def overlay(
    photograph: np.ndarray, mask: np.ndarray, *, classes: int, share: float = 0.55
) -> np.ndarray:
    """Lay the colours of a mask `[H, W]` over a photograph uint8 `[H, W, 3]`; none where void."""
    table = np.zeros((VOID + 1, 3))
    table[:classes] = colours(classes)
    weight = np.where(mask == VOID, 0.0, share)[..., None]
    return ((1 - weight) * photograph + weight * table[mask]).round().astype(np.uint8)


def jpeg(image: np.ndarray) -> bytes:
    """Encode a picture uint8 `[H, W, 3]`."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(image).save(data, "jpeg", quality=90)
    return data.getvalue()


def png(mask: np.ndarray, *, numbers: Sequence[int] = (), classes: int) -> bytes:
    """Encode a mask of places uint8 `[H, W]` as a palette PNG of the classes' numbers.

    `numbers` are those of the classes in the files that were learnt from; without any they are the
    places.
    """
    from PIL import Image

    places = list(numbers) or list(range(classes))
    table = np.tile(np.array(_NONE, np.uint8), (VOID + 1, 1))
    table[places] = colours(classes)
    number = np.full(VOID + 1, VOID, np.uint8)
    number[: len(places)] = places
    image = Image.fromarray(number[mask])
    image.putpalette(table.reshape(-1).tolist())
    data = io.BytesIO()
    image.save(data, "png")
    return data.getvalue()
