"""What a trained network sees in photographs, pixel by pixel, each at its own size."""

# pyright: strict
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import numpy as np
from jax import Array

from tljax.data import photos
from tljax.data.folder import read_file
from tljax.errors import InputError
from tljax.files.home import at_home
from tljax.machine import in_turn
from tljax.models import ops
from tljax.tasks.pixels import resized
from tljax.train.outcome.reading import Photographs, reading
from tljax.train.outcome.trained import Trained
from tljax.train.outcome.viewed import mean_of_pixels, ranges_of
from tljax.train.step import Params


@dataclass(frozen=True)
class Masked:
    """A photograph uint8 `[H, W, 3]`, and the place of the likeliest class of each pixel."""

    name: str
    photograph: np.ndarray
    mask: np.ndarray  # uint8 [H, W]

    def shares(self, classes: int) -> np.ndarray:
        """Compute the share of the pixels that each class has, float32 `[classes]`."""
        counts = np.bincount(self.mask.reshape(-1), minlength=classes)
        return (counts / self.mask.size).astype(np.float32)


def masks(trained: Trained, paths: Photographs, *, views: int = 0) -> Iterator[Masked | InputError]:
    """Draw the mask of each photograph; the error of one that cannot be read takes its place.

    The network sees the photograph at the size of its training, and its scores are resized to the
    photograph's own. With `views` they are the mean over the photograph and as many augmented
    views, warped back. InputError for a classifier of whole photographs.
    """
    if not trained.task.dense:
        raise InputError(f"masks: expected a run of masks, found {trained.task.name}")
    run = _program(trained, views=views)
    for name in reading(paths, size=trained.size).names:
        try:
            data = read_file(at_home(name))
            sides = photos.sides_of(data, name=name)
            whole = photos.decode(data, size=sides, name=name)
            small = photos.decode(data, size=trained.size, name=name)
        except InputError as error:
            yield error
            continue
        yield Masked(name, whole, _likeliest(run(small[None]), sides)[0])


def places_of(trained: Trained, images: np.ndarray) -> np.ndarray:
    """Draw the masks `[N, H, W]` of images of the training's size, places of classes."""
    run, sides = _program(trained), photos.sides(trained.size)
    return np.concatenate([_likeliest(run(image[None]), sides) for image in images])


def _program(trained: Trained, *, views: int = 0) -> Callable[[np.ndarray], Array]:
    net = trained.net
    if views:
        return mean_of_pixels(net, ranges_of(trained.stage), views=views)

    def logits(params: Params, images: Array) -> Array:
        return net.run(images, params)[0]

    program = in_turn.of(ops.jit(logits))
    return lambda images: program(net.params, images)


def _likeliest(logits: Array, sides: tuple[int, int]) -> np.ndarray:
    """Return the place of the likeliest class of each pixel, uint8 `[N, H, W]`."""
    return np.asarray(_resized(logits, sides).argmax(-1), np.uint8)


_resized: Callable[[Array, tuple[int, int]], Array] = jax.jit(resized, static_argnums=1)
