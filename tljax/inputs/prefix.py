"""A frozen base up to one of its layers, and what it makes of photographs: a pure function, and all that decides it."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import functools
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from tljax.data import ImageSets, draws, preprocess
from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys
from tljax.data.preprocess import Preprocess
from tljax.models import layers, ops, vgg
from tljax.models.vgg import VGG16
from tljax.tree import json_digest
from tljax.weights import digest


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
    kept: str | None = (
        None  # the dtype in which activations are held and stored; None: as they are computed
    )
    batch: int = 32  # training photographs in one pass: a step's, as another number rounds some layers otherwise

    def identity(
        self, sets: ImageSets, *, split: str, view: int = 0, stop: str | None = None
    ) -> dict[str, Any]:
        """All that decides the activations of one view of a split at a layer; the file they are kept in is keyed by it.

        The code and the versions too: the file may outlive them.
        """
        stop = stop or self.stop
        warped = split == "train" and self.augment is not None
        used = vgg.between(vgg.LAYERS[0], stop)
        return {
            "data": sets.digest,
            "split": split,
            "size": sets.train.images.shape[1],
            "weights": json_digest(
                {layer: told for layer, told in self._layers.items() if layer in used}
            ),
            "preprocess": self.preprocess.to_dict(),
            "layer": stop,
            "view": view if warped else 0,
            "augment": asdict(self.augment) if warped and self.augment else None,
            "batch": self.block(split),
            "dtype": jnp.dtype(self.base.dtype).name,
            "made_by": f"{jax.default_backend()}, jax {jax.__version__}, code {_code()}",
        }

    def block(self, split: str) -> int:
        """Photographs in one pass. Of held-out ones as many as are fastest: on CPU what stays near its caches."""
        if split == "train":
            return self.batch
        return 4 if jax.default_backend() == "cpu" else 64

    def exact_at(self, layer: str) -> bool:
        """Whether the prefix may go on from what is kept at a layer before `stop`, to the bits of one run."""
        whole = self.kept in (None, "float32", jnp.dtype(self.base.dtype).name)
        return whole and vgg.LAYERS.index(layer) < vgg.LAYERS.index(self.stop)

    def program(
        self, *, augment: Augment | None, start: str | None, stop: str
    ) -> Callable[..., Any]:
        """`(params, batch, view [B], example [B]) -> activations` at `stop`.

        The batch is images, or what the layer `start` gave of them.
        """

        def program(params: dict[str, Any], batch: Array, view: Array, example: Array) -> Array:
            run = functools.partial(self.base.apply, {"params": params}, stop=stop)
            if start is not None:
                out, _ = run(batch, start=vgg.following(start))
            else:
                if augment is not None:
                    batch = augment_batch(batch, keys=augment_keys(view, example), ranges=augment)
                out, _ = run(self.preprocess(batch))
            return out if self.kept is None else out.astype(self.kept)

        return program

    def row(self, sets: ImageSets, *, stop: str | None = None) -> jax.ShapeDtypeStruct:
        """Shape and dtype of the activations of one view of one photograph."""
        output = self._outputs(sets.train.images.shape[1])[stop or self.stop]
        return jax.ShapeDtypeStruct(output.shape[1:], self.kept or output.dtype)

    @functools.cached_property
    def _outputs(self) -> Callable[[int], dict[str, jax.ShapeDtypeStruct]]:
        def outputs(side: int) -> dict[str, jax.ShapeDtypeStruct]:
            images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
            run = functools.partial(self.base.apply, stop=self.stop)
            return jax.eval_shape(
                lambda params, images: run({"params": params}, images)[1], self.params, images
            )

        return functools.cache(outputs)

    @functools.cached_property
    def _layers(self) -> dict[str, str]:
        return {layer: digest({layer: leaves}) for layer, leaves in self.params.items()}


@functools.cache
def _code() -> str:
    """The digest of the code that decides activations: a changed file must not find those of the one before."""
    from tljax.data import augment

    files = [
        __file__,
        *(str(module.__file__) for module in (augment, draws, preprocess, layers, ops, vgg)),
    ]
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()[:16]
