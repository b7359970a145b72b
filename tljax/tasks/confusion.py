"""Confusions of pixels, whole numbers by truth and prediction, and what is read from them."""

# pyright: strict

import numpy as np

from tljax.errors import InputError
from tljax.tasks.pixels import VOID


def ious(confusion: np.ndarray) -> np.ndarray:
    """Compute the intersection over union `[..., C]` of each class.

    NaN for a class that is neither in the truth nor in the prediction. `confusion` `[..., C, C]`.
    """
    both, either = _overlap(confusion)
    return np.where(either > 0, both / np.maximum(1, either), np.nan)


def scores(confusion: np.ndarray) -> dict[str, float]:
    """Compute mIoU, Dice and accuracy of a confusion `[C, C]`.

    The first two are means over the classes that are in the truth or in the prediction; all are NaN
    where no pixel has a class.
    """
    both, either = _overlap(confusion)
    if not (there := either > 0).any():
        return {"mIoU": float("nan"), "Dice": float("nan"), "accuracy": float("nan")}
    both, either = both[there], either[there]
    return {
        "mIoU": float((both / either).mean()),
        "Dice": float((2 * both / (both + either)).mean()),
        "accuracy": float(both.sum() / confusion.sum()),
    }


def _overlap(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return intersection and union `[..., C]` in pixels, float64: exact up to 2^53."""
    counts = confusion.astype(np.float64)
    both = np.diagonal(counts, axis1=-2, axis2=-1)
    return both, counts.sum(-1) + counts.sum(-2) - both


def balanced(labels: np.ndarray, *, classes: int) -> tuple[float, ...]:
    """Compute weights inverse to the classes' pixels in masks `[N, H, W]`.

    Their mean over the pixels is 1. InputError for a class without a pixel.
    """
    counts = pixels(labels, classes=classes).sum(0)
    if not counts.all():
        raise InputError(
            f"class_weights: class {int(counts.argmin())} has no training pixel to balance"
        )
    return tuple((counts.sum() / (classes * counts)).tolist())


def pixels(labels: np.ndarray, *, classes: int) -> np.ndarray:
    """Count the pixels of each class in each mask of `[N, H, W]`: int64 `[N, classes]`."""

    counts = np.zeros((len(labels), classes), np.int64)
    for place, mask in enumerate(labels):  # one by one: all at once they would be held as int64
        counts[place] = np.bincount(mask.reshape(-1), minlength=VOID + 1)[:classes]
    return counts


def shares(labels: np.ndarray, *, classes: int) -> np.ndarray:
    """Compute the share of each class `[N, classes]` of the pixels of a mask that have one."""
    counts = pixels(labels, classes=classes)
    return counts / np.maximum(1, counts.sum(1, keepdims=True))
