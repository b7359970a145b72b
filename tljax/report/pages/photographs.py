"""photographs.npz: the photographs for the page, what the network predicted, where it looked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.files import npz

SIDE = 160  # pixels at most: a page of them stays below a third of a megabyte


@dataclass(frozen=True)
class Photographs:
    """Validation photographs of one rung and seed: the highest losses, and some with Grad-CAM.

    Images uint8 `[N, S, S, 3]`; labels int `[N]`; probabilities float `[N, classes]`; maps float
    `[N, 2, h, w]`, for the two likeliest classes, likeliest first.
    """

    rung: str
    seed: int
    layer: str  # of the maps, and how they were made; of an earlier version the layer alone
    images: int  # in validation
    classes: np.ndarray  # names
    worst: np.ndarray
    worst_ids: np.ndarray
    worst_labels: np.ndarray
    worst_losses: np.ndarray
    worst_probabilities: np.ndarray
    seen: np.ndarray
    seen_ids: np.ndarray
    seen_labels: np.ndarray
    seen_probabilities: np.ndarray
    maps: np.ndarray


FILE = "photographs.npz"
_FIELDS = {
    "rung": "U0",
    "seed": "i0",
    "layer": "U0",
    "images": "i0",
    "classes": "U1",
    "worst": "u4",
    "worst_ids": "U1",
    "worst_labels": "i1",
    "worst_losses": "f1",
    "worst_probabilities": "f2",
    "seen": "u4",
    "seen_ids": "U1",
    "seen_labels": "i1",
    "seen_probabilities": "f2",
    "maps": "f4",
}


def small(images: np.ndarray) -> np.ndarray:
    """Shrink uint8 `[N, S, S, 3]` to at most SIDE pixels."""
    from PIL import Image

    if images.shape[1] <= SIDE:
        return images
    resized = [
        Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS) for image in images
    ]
    return np.stack([np.asarray(image) for image in resized])


def write(photos: Photographs, *, workdir: Path) -> Path:
    """Write `photographs.npz` in one piece, readable without pickle."""
    return npz.write(workdir / FILE, {name: np.asarray(getattr(photos, name)) for name in _FIELDS})


def read(workdir: Path) -> Photographs | None:
    """Read `photographs.npz`; None for a run that kept none. InputError names a damaged file."""
    path = workdir / FILE
    if not path.is_file():
        return None
    parts = npz.read(path, _FIELDS)
    photos = Photographs(
        rung=parts["rung"].item(),
        seed=parts["seed"].item(),
        layer=parts["layer"].item(),
        images=parts["images"].item(),
        classes=parts["classes"],
        worst=parts["worst"],
        worst_ids=parts["worst_ids"],
        worst_labels=parts["worst_labels"],
        worst_losses=parts["worst_losses"],
        worst_probabilities=parts["worst_probabilities"],
        seen=parts["seen"],
        seen_ids=parts["seen_ids"],
        seen_labels=parts["seen_labels"],
        seen_probabilities=parts["seen_probabilities"],
        maps=parts["maps"],
    )
    _check(photos, path)
    return photos


def _check(photos: Photographs, path: Path) -> None:
    """Check that the arrays belong together: that labels and maps fit the images and classes."""
    classes = len(photos.classes)
    for part in ("worst", "seen"):
        images = getattr(photos, part)
        labels, likely = (getattr(photos, f"{part}_{name}") for name in ("labels", "probabilities"))
        fits = (
            images.dtype == np.uint8
            and images.shape[3] == 3
            and likely.shape == (len(images), classes)
        )
        fits = fits and labels.shape == (len(images),) == getattr(photos, f"{part}_ids").shape
        if not fits or (len(labels) and not 0 <= labels.min() <= labels.max() < classes):
            raise InputError(
                f"{path}: {part}: expected N images, ids, labels and probabilities "
                f"of {classes} classes"
            )
    if (
        photos.maps.shape[:2] != (len(photos.seen), min(2, classes))
        or photos.worst_losses.shape != photos.worst_ids.shape
    ):
        raise InputError(
            f"{path}: expected two maps a photograph and a loss each, found {photos.maps.shape[:2]}"
        )
