"""Segmentation: each pixel is of one class, or of none. Scores come from an exact confusion."""

# pyright: strict
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from tljax.errors import InputError
from tljax.optim.objective import PLAIN, Objective
from tljax.tasks.confusion import balanced, pixels, scores, shares
from tljax.tasks.pixels import VOID, resized, warp
from tljax.tasks.task import Measure, Sums, Task


@dataclass(frozen=True)
class Segmentation(Task):
    """Labels `[N, H, W]` uint8, the places of classes, `VOID` for none; logits `[N, h, w, C]`.

    Logits are brought to the label's size bilinearly. `kept` of an image is its loss and its
    confusion, row the truth, `[1 + C * C]` float32: exact up to 2^24 pixels. `numbers` are those of
    the classes in mask files, where they are not their places.
    """

    numbers: tuple[int, ...] = ()

    name: ClassVar[str] = "segmentation"
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("mIoU"),
        Measure("Dice"),
        Measure("accuracy"),
    )
    totals: ClassVar[tuple[str, ...]] = ("confusion",)
    head: ClassVar[str] = "dense"
    dense: ClassVar[bool] = True
    least: ClassVar[int] = 2

    def label(self, *, classes: int, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of the mask of an image of this shape."""
        del classes
        return jax.ShapeDtypeStruct(shape[:2], jnp.uint8)

    def checked(self, where: str, labels: np.ndarray, *, count: int) -> np.ndarray:
        """Return masks uint8; InputError unless they are whole numbers `[count, H, W]`."""
        found = np.asarray(labels)
        whole = found.dtype.kind in "iu" and found.ndim == 3 and len(found) == count
        if not whole or (found.size and not 0 <= found.min() <= found.max() <= VOID):
            expected = f"whole numbers from 0 to {VOID} [{count}, height, width]"
            kind = f"{found.dtype} {found.shape}"
            raise InputError(f"{where}: masks: expected {expected}, found {kind}")
        return found.astype(np.uint8, copy=False)

    def check(self, where: str, labels: np.ndarray, *, classes: int) -> None:
        """Check that every pixel has the place of a class or none; InputError names one without."""
        wrong = labels[(labels >= classes) & (labels != VOID)]
        if len(wrong):
            expected = f"classes 0 to {classes - 1} and {VOID} for none"
            raise InputError(f"{where}: masks: expected {expected}, found {wrong[0]}")

    def counts(self, labels: np.ndarray, *, classes: int) -> np.ndarray:
        """Count the images in which each class is."""
        return (pixels(labels, classes=classes) > 0).sum(0)

    def warped(self, label: Array, A: Array, b: Array) -> Array:
        """Warp masks as their images: the nearest pixel, and no class outside."""
        return warp(label, A, b)

    def outputs(self, classes: int) -> int:
        """Return the number of logits of a pixel: one for each class."""
        if classes < self.least:
            raise InputError(f"masks need 2 classes or more, found {classes}")
        return classes

    def settled(self, objective: Objective, labels: np.ndarray, *, classes: int) -> Objective:
        """Return the objective with a number for each class where weights are to be balanced."""
        weights = objective.class_weights
        if weights == "balanced":
            return replace(objective, class_weights=balanced(labels, classes=classes))
        if weights is not None and len(weights) != classes:
            raise InputError(
                f"class_weights: expected {classes}, one for each class, found {len(weights)}"
            )
        return objective

    def losses(self, logits: Array, label: Array, objective: Objective = PLAIN) -> Array:
        """Compute the mean cross entropy `[N]` over the pixels of each image that have a class.

        With `objective.dice` that many times a soft Dice loss is added (`dice_losses`).
        """
        logits = resized(logits, (label.shape[1], label.shape[2]))
        known, classes = label != VOID, logits.shape[-1]
        place = jnp.where(known, label, 0).astype(jnp.int32)
        if smooth := objective.label_smoothing:
            targets = optax.smooth_labels(jax.nn.one_hot(place, classes), smooth)
            each = optax.softmax_cross_entropy(logits, targets)
        else:
            each = optax.softmax_cross_entropy_with_integer_labels(logits, place)
        if objective.class_weights is not None:
            each *= jnp.asarray(objective.class_weights, each.dtype)[place]
        losses = (each * known).sum((1, 2)) / jnp.maximum(1, known.sum((1, 2)))
        if objective.dice:
            losses += objective.dice * dice_losses(logits, place, known)
        return losses

    def constant_loss(
        self, labels: np.ndarray, objective: Objective = PLAIN, *, classes: int
    ) -> float:
        """Compute the least mean cross entropy of one prediction for every pixel.

        See `Classification.constant_loss`; the targets of an image are its classes' shares.
        """
        objective = self.settled(objective, labels, classes=classes)
        weighted = shares(labels, classes=classes).mean(0)
        if objective.class_weights is not None:
            weighted = weighted * np.asarray(objective.class_weights)
        smooth = objective.label_smoothing
        target = (1 - smooth) * weighted + smooth * weighted.sum() / classes
        positive = target[target > 0]
        return float(-(positive * np.log(positive / positive.sum())).sum())

    def figures(self, logits: Array, label: Array) -> dict[str, Array]:
        """Count the pixels of each image by truth and prediction: "confusion" `[N, C, C]` int32."""
        classes = logits.shape[-1]
        found = resized(logits, (label.shape[1], label.shape[2])).argmax(-1)
        cell = jnp.where(label == VOID, classes**2, label.astype(jnp.int32) * classes + found)
        count = partial(jnp.bincount, length=classes**2 + 1)
        counted = jax.vmap(count)(cell.reshape(len(label), -1))
        return {"confusion": counted[:, :-1].reshape(-1, classes, classes).astype(jnp.int32)}

    def scores(self, sums: Sums) -> dict[str, float]:
        """Compute the measures of a confusion `[C, C]`."""
        return scores(np.asarray(sums["confusion"]))

    def answers(self, logits: Array) -> Array:
        """Compute the probabilities of the classes at each place, `[N, h, w, C]`."""
        return jax.nn.softmax(logits, axis=-1)

    def kept(self, logits: Array, label: Array) -> Array:
        """Return loss and confusion of each image `[N, 1 + C * C]`."""
        confusion = self.figures(logits, label)["confusion"]
        flat = confusion.reshape(len(label), -1).astype(jnp.float32)
        return jnp.concatenate([self.losses(logits, label)[:, None], flat], axis=1)

    def check_kept(self, where: str, kept: np.ndarray, *, classes: int) -> None:
        """Check that there are a loss and a confusion of each image."""
        if kept.shape[1:] != (1 + classes**2,):
            expected = f"a loss and a confusion of {classes} classes for each image"
            raise InputError(f"{where}: expected {expected}, found {kept.shape[1:]}")

    def kept_losses(self, kept: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the losses `[N]`."""
        del labels
        return kept[:, 0].astype(np.float64)

    def kept_figures(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return the confusions `[N, C, C]` int64."""
        del labels
        classes = round((kept.shape[1] - 1) ** 0.5)
        return {"confusion": kept[:, 1:].astype(np.int64).reshape(-1, classes, classes)}

    def constant_losses(self, labels: np.ndarray) -> np.ndarray:
        """Compute the losses `[N]` of answering the shares of the classes at every pixel."""
        own = shares(labels, classes=int(labels[labels != VOID].max(initial=0)) + 1)
        mean = own.mean(0)
        return -(own * np.log(np.where(mean > 0, mean, 1))).sum(1)


SEGMENTATION = Segmentation()


def dice_losses(logits: Array, place: Array, known: Array) -> Array:
    """Compute 1 minus the soft Dice coefficient `[N]`, a mean over the classes of each image.

    Milletari, Navab and Ahmadi 2016, arXiv 1606.04797, with the sum of probabilities in place of
    their squares. `place` and `known` are `[N, H, W]`.
    """
    truth = jax.nn.one_hot(place, logits.shape[-1]) * known[..., None]
    share = jax.nn.softmax(logits) * known[..., None]
    both, true = (truth * share).sum((1, 2)), truth.sum((1, 2))
    dice = 2 * both / jnp.maximum(1, true + share.sum((1, 2)))
    here = true > 0
    return (here * (1 - dice)).sum(1) / jnp.maximum(1, here.sum(1))
