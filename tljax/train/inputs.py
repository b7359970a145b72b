"""What a stage reads: photographs, or the activations of a frozen prefix, run once."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.data import ImageSet, ImageSets
from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import example_keys
from tljax.data.preprocess import Preprocess
from tljax.models import ops, vgg
from tljax.models.vgg import VGG16
from tljax.train import features, processes
from tljax.train.feed import Examples
from tljax.weights import digest

_BLOCK = 64  # photographs in one pass of the prefix, where nothing else decides


@dataclass(frozen=True)
class Inputs:
    """What a stage reads, and how a batch of it becomes the network's input.

    `augmented(batch, keys, strength)` is for training, `plain(batch)` for validation; `start` is the layer they enter
    at, None for images.
    """

    train: Examples
    validation: Examples
    augmented: Callable[..., Array]
    plain: Callable[[Array], Array]
    start: str | None = None
    test: Examples | None = None  # nothing is chosen on it


def from_images(sets: ImageSets, *, augment: Augment | None, preprocess: Preprocess) -> Inputs:
    """Photographs, augmented afresh at every draw (validation never is), then preprocessed."""

    def augmented(images: Array, keys: Array, strength: Array | float = 1.0) -> Array:
        if augment is None:
            return preprocess(images)
        return preprocess(augment_batch(images, keys=keys, ranges=augment, strength=strength))

    train, validation = (Examples(split.images, split.labels) for split in (sets.train, sets.validation))
    test = Examples(sets.test.images, sets.test.labels) if sets.test else None
    return Inputs(train, validation, augmented, preprocess, test=test)


@dataclass(frozen=True)
class Prefix:
    """A frozen base up to and including the layer `stop`, and the photographs as it sees them.

    `views` augmented views of each training photograph; view k is what pass k of fresh augmentation would draw.
    """

    base: VGG16
    params: dict[str, Any]  # the base's
    stop: str
    preprocess: Preprocess
    augment: Augment | None
    views: int
    seed: int
    kept: str | None = None  # the dtype in which activations are held and stored; None: as they are computed
    batch: int = _BLOCK  # training photographs in one pass: a step's, as another number rounds some layers otherwise

    def identity(self, sets: ImageSets, *, split: str) -> dict[str, Any]:
        """All that decides the activations; a file of features is keyed by it."""
        layers = vgg.between(vgg.LAYERS[0], self.stop)
        warped = split == "train" and self.augment is not None
        return {
            "data": sets.digest,
            "split": split,
            "size": sets.train.images.shape[1],
            "weights": digest({layer: self.params[layer] for layer in layers if layer in self.params}),
            "preprocess": self.preprocess.to_dict(),
            "layer": self.stop,
            "views": self.views if split == "train" else 1,
            "augment": asdict(self.augment) if warped and self.augment else None,
            "seed": self.seed if warped else None,
            "batch": self.batch if split == "train" else None,
            "dtype": jnp.dtype(self.base.dtype).name,
        }


def from_prefix(sets: ImageSets, prefix: Prefix, *, store: Path, progress: bool = True) -> Inputs:
    """Activations of the prefix, kept in the HDF5 file `store`, where a later run finds them."""
    prefix = replace(prefix, params=jax.device_get(prefix.params))  # each process runs it by itself
    with processes.first_then_others("features"):
        train = Examples(_activations(sets, prefix, "train", store, progress), sets.train.labels, views=prefix.views)
        validation = Examples(_activations(sets, prefix, "validation", store, progress), sets.validation.labels)
        test = Examples(_activations(sets, prefix, "test", store, progress), sets.test.labels) if sets.test else None
    return Inputs(train, validation, _as_float, _as_float, start=vgg.following(prefix.stop), test=test)


def promised(sets: ImageSets, prefix: Prefix) -> Inputs:
    """The same in shape, from shapes of the parameters: activations are zeros that take no memory."""
    row = row_of(prefix, sets)

    def zeros(split: ImageSet, views: int) -> Examples:
        count = views * len(split.labels)
        return Examples(np.broadcast_to(np.zeros((), row.dtype), (count, *row.shape)), split.labels, views=views)

    test = zeros(sets.test, 1) if sets.test else None
    train, validation = zeros(sets.train, prefix.views), zeros(sets.validation, 1)
    return Inputs(train, validation, _as_float, _as_float, start=vgg.following(prefix.stop), test=test)


def row_of(prefix: Prefix, sets: ImageSets) -> jax.ShapeDtypeStruct:
    """Shape and dtype of the activations of one view of one photograph."""
    side = sets.train.images.shape[1]
    images, index = jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8), jax.ShapeDtypeStruct((1,), jnp.int32)
    program = _program(prefix, prefix.augment)
    output = jax.eval_shape(program, prefix.params, jax.random.key(0), images, index, index)
    return jax.ShapeDtypeStruct(output.shape[1:], output.dtype)


def _as_float(batch: Array, keys: Array | None = None, strength: Array | float = 1.0) -> Array:
    del keys, strength  # the views were drawn when the prefix ran
    return batch.astype(jnp.float32)


def _activations(sets: ImageSets, prefix: Prefix, split: str, store: Path, progress: bool) -> np.ndarray:
    """`[views * N, h, w, c]`, row `view * N + example`."""
    examples: ImageSet = getattr(sets, split)
    views = prefix.views if split == "train" else 1
    augment = prefix.augment if split == "train" else None
    program = ops.jit(_program(prefix, augment))
    block = prefix.batch if split == "train" else _BLOCK
    root = jax.random.key(prefix.seed)

    def compute(first: int, last: int) -> np.ndarray:
        # Always a whole block, the last one padded with its own first rows: one shape, one compilation.
        row = first + np.arange(block) % (last - first)
        example = (row % len(examples.labels)).astype(np.int32)
        view = (row // len(examples.labels)).astype(np.int32)
        return np.asarray(program(prefix.params, root, examples.images[example], view, example))[: last - first]

    row = row_of(prefix, sets)
    return features.stored(
        store,
        name=split,
        identity=prefix.identity(sets, split=split),
        count=views * len(examples.labels),
        shape=row.shape,
        dtype=row.dtype.name,
        compute=compute,
        block=block,
        progress=progress,
    )


def _program(prefix: Prefix, augment: Augment | None) -> Callable[..., Array]:
    def program(params: dict[str, Any], root: Array, images: Array, view: Array, example: Array) -> Array:
        if augment is not None:
            images = augment_batch(images, keys=example_keys(root, view, example)[0], ranges=augment)
        out, _ = prefix.base.apply({"params": params}, prefix.preprocess(images), stop=prefix.stop)
        return out if prefix.kept is None else out.astype(prefix.kept)

    return program
