"""The images of a data set with labels and ids: checked when made, wherever they come from."""

import dataclasses
import functools
import html
from collections.abc import Callable

import jax
import numpy as np

from tljax.data import names
from tljax.data.augment import augment_batch
from tljax.data.photos import Size, across
from tljax.data.preprocess import UNIT, Prepare
from tljax.errors import InputError
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.pixels import VOID
from tljax.tasks.task import Task


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """Hold the images of one split, with labels and ids.

    InputError names the field whose dtype, shape, length or value is another.
    """

    images: np.ndarray  # uint8 [N, size, size, 3], RGB; may be a memory map
    labels: np.ndarray  # [N, ...] as the task has them; of classes int32 [N]
    ids: tuple[str, ...]  # stable name of each example, such as "train/cat/cat.17.jpg"
    task: Task = CLASSIFICATION  # what the labels are for

    def __post_init__(self) -> None:
        check_images("ImageSet", self.images, square=not self.task.dense)
        labels = self.task.checked("ImageSet", self.labels, count=len(self.images))
        if self.task.dense and labels.shape[1:3] != self.images.shape[1:3]:
            expected = f"masks of {self.images.shape[1:3]}, as the images"
            raise InputError(f"ImageSet: labels: expected {expected}, found {labels.shape[1:3]}")
        object.__setattr__(self, "labels", labels)
        if len(self.ids) != len(self.images):
            expected = f"{len(self.images)}, one for each image"
            raise InputError(f"ImageSet: ids: expected {expected}, found {len(self.ids)}")

    @property
    def inputs(self) -> np.ndarray:
        """Return the images: what a network reads of the examples."""
        return self.images

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"ImageSet({len(self)} images of {self.images.shape[1]} x {self.images.shape[2]})"


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSets:
    """Hold the training, validation and perhaps test images, with the class list they share.

    InputError for labels without a class, images of several sizes, classes that read alike, and
    classes without a training image.
    """

    name: str  # the source string
    classes: tuple[str, ...]
    train: ImageSet
    validation: ImageSet
    digest: str  # hex sha256 of what the images were made from, in order, without names and places
    skipped: tuple[str, ...] = ()  # ids of corrupt photographs left out on request
    test: ImageSet | None = None  # reported once, at the end; nothing is chosen on it
    left_out: tuple[str, ...] = ()  # counts of files that are no examples, each with the reason

    def __post_init__(self) -> None:
        names.check(self.name, self.classes, least=self.train.task.least)
        for split, part in self.splits.items():
            where = f"{self.name}: {split}"
            if not len(part):
                raise InputError(f"{where}: expected one image or more, found none")
            if part.task != self.train.task:
                expected = f"the task of train, {self.train.task.name}"
                raise InputError(f"{where}: expected {expected}, found {part.task.name}")
            part.task.check(where, part.labels, classes=len(self.classes))
            if part.task.dense and not (part.labels != VOID).any():
                expected = "masks with pixels of a class"
                raise InputError(f"{where}: expected {expected}, found {VOID} (no class) in all")
            if part.images.shape[1:] != self.train.images.shape[1:]:
                sides = (each.images.shape[1:3] for each in (self.train, part))
                expected, found = map(across, sides)
                raise InputError(f"{where}: expected images of {expected} pixels, found {found}")
        names.refuse_unseen(self.name, self.classes, self._counts())
        if self.train.labels.dtype.kind == "f":
            self._refuse_constant()

    def _refuse_constant(self) -> None:
        """Refuse a number that is the same in all training images: nothing is learnt of it."""
        for name, values in zip(self.classes, self.train.labels.T, strict=True):
            if (values == values[0]).all():
                found = f"{values[0]:g} in all training images"
                expected = f"{name}: expected numbers that differ"
                raise InputError(f"{self.name}: {expected}, found {found}")

    @property
    def preprocess(self) -> Prepare:
        """Return what comes before a network that no base decides: the lecture's 1/255."""
        return UNIT

    @property
    def augmented(self) -> Callable[..., jax.Array]:
        """Return the function that warps images at random."""
        return augment_batch

    @property
    def spec(self) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of one example as a network takes it, preprocessed."""
        return jax.ShapeDtypeStruct((1, *self.train.images.shape[1:]), np.float32)

    @property
    def task(self) -> Task:
        """Return what the labels are for, with what it takes from those of training."""
        return self._fitted

    @functools.cached_property
    def _fitted(self) -> Task:
        return self.train.task.fitted(self.train.labels)

    def _counts(self) -> dict[str, np.ndarray]:
        """Count the examples of each class in each split; nothing where labels are of no class."""
        count = len(self.classes)
        counts = {
            split: part.task.counts(part.labels, classes=count)
            for split, part in self.splits.items()
        }
        return {split: each for split, each in counts.items() if each is not None}

    @property
    def size(self) -> Size:
        """Return the side of square images in pixels; height and width of others."""
        height, width = self.train.images.shape[1:3]
        return height if height == width else (height, width)

    @property
    def splits(self) -> dict[str, ImageSet]:
        """Map "train", "validation" and perhaps "test" to their images."""
        pairs = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in pairs.items() if part is not None}

    def counts(self) -> str:
        """Describe the set in one line: classes, images, size, and what was left out and why."""
        classes = self.classes
        named = ", ".join(classes) if len(classes) <= 12 else f"{len(classes)} classes"
        named += names.numbers_hint(self.name, classes)
        train, *held = [f"{len(part)} {_CALLED[split]}" for split, part in self.splits.items()]
        images = f"{', '.join([train, *held[:-1]])} and {held[-1]} images"
        corrupt = [f"{len(self.skipped)} corrupt ones"] if self.skipped else []
        without = "; ".join([*corrupt, *self.left_out])
        out = f"; left out: {without}" if without else ""
        return f"{self.name}: {named}; {images} of {across(self.size)}{self._absent()}{out}"

    def _absent(self) -> str:
        """Name the classes that no validation image can judge."""
        counts = self._counts().get("validation", np.ones(len(self.classes)))
        absent = [name for name, count in zip(self.classes, counts, strict=True) if not count]
        return f", none of {names.shown(absent)} in validation" if absent else ""

    def __repr__(self) -> str:
        return f"ImageSets({self.counts()})"

    def _repr_html_(self) -> str:
        """Show the number of images of each class and split in a notebook."""
        counts = list(self._counts().values())
        head = "".join(f"<th>{_CALLED[split]}</th>" for split in self._counts())
        rows = ""
        for i, name in enumerate(self.classes):
            cells = "".join(f"<td>{each[i]:,}</td>" for each in counts)
            rows += f"<tr><td>{html.escape(name)}</td>{cells}</tr>"
        about = html.escape(self.counts())
        return f"<p>{about}</p><table><tr><th>class</th>{head}</tr>{rows}</table>"


_CALLED = {"train": "training", "validation": "validation", "test": "test"}


def check_images(where: str, images: np.ndarray, *, square: bool = True) -> None:
    """Check images uint8 `[N, size, size, 3]`; InputError says what to do about others.

    Without `square` height and width may differ.
    """
    shape = tuple[int, ...](getattr(images, "shape", ()))
    dtype = getattr(images, "dtype", type(images).__name__)
    fits = len(shape) == 4 and min(shape[1:3]) > 0 and shape[3] == 3
    fits = fits and (not square or shape[1] == shape[2])
    if dtype == np.uint8 and fits:
        # A map of the cache holds what was decoded; to look through it all would read it all.
        if not isinstance(images, np.memmap) and len(images) and np.max(images) == 1:
            raise InputError(f"{where}: images: expected pixels from 0 to 255, found 0 and 1 alone")
        return
    found = f"{dtype} {tuple(shape)}"
    if fits and np.issubdtype(dtype, np.number) and np.size(images):
        found += f" from {float(np.min(images)):.3g} to {float(np.max(images)):.3g}"
    expected = "expected uint8 [N, size, size, 3]"
    raise InputError(f"{where}: images: {expected}, found {found}{_advice(images, tuple(shape))}")


def _advice(images: np.ndarray, shape: tuple[int, ...]) -> str:
    """Say how images of another shape or type become what is expected; empty where unknown."""
    if len(shape) == 4 and shape[1] == 3 != shape[3]:
        return "; channels come last: images.transpose(0, 2, 3, 1)"
    if len(shape) == 3 or (len(shape) == 4 and shape[3] == 1):
        return "; grey images want their channel three times"
    if len(shape) != 4 or shape[3] != 3 or not np.size(images):
        return ""
    if shape[1] != shape[2]:
        return "; resize them to squares"
    low, high = float(np.min(images)), float(np.max(images))
    if low < 0 or not high <= 255:
        return ""
    scaled = "images" if high > 1 else "(images * 255)"
    return f"; {scaled}.round().astype(np.uint8) has pixels from 0 to 255"
