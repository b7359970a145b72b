"""A frozen base up to one of its layers, as a pure function of photographs, and what decides it."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import functools
import hashlib
import itertools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from tljax.data import draws, preprocess
from tljax.data.augment import Augmentation, augment_batch
from tljax.data.draws import augment_keys
from tljax.data.examples import Sets
from tljax.data.preprocess import Prepare
from tljax.files.disk import Json
from tljax.models import winograd
from tljax.models.architecture import Architecture
from tljax.models.classifiers import Kept, whole
from tljax.tree import Variables, json_digest
from tljax.weights import digest


class Program(Protocol):
    """A prefix from a batch to activations; see `Prefix.program`."""

    def __call__(
        self, variables: Variables, batch: Array, view: Array, example: Array, /
    ) -> Array: ...


@dataclass(frozen=True)
class Prefix:
    """A frozen base up to and including the layer `stop`, and the photographs as it sees them.

    There are `views` augmented views of each training photograph; view k is what pass k of fresh
    augmentation would draw. Where the head `reads` layers on the way, the activations of a view are
    all of them, in one row.
    """

    architecture: Architecture
    base: nn.Module
    variables: Variables  # of the base: {"params", "batch_stats"?}
    stop: str
    preprocess: Prepare
    augment: Augmentation | None
    views: int
    # The dtype in which activations are held and stored; None: as they are computed.
    kept: str | None = None
    # Training photographs in one pass: a step's, as another number rounds some layers otherwise.
    batch: int = 32
    reads: tuple[str, ...] = ()  # layers up to `stop`
    kept_as: Callable[[Array], Array] = whole  # of an activation that is read
    augmented: Callable[..., Array] = augment_batch  # the data set's

    def identity(self, sets: Sets, *, split: str, view: int = 0, stop: str | None = None) -> Json:
        """Describe all that decides the activations of one view of a split at a layer.

        The file they are kept in is keyed by it. It has the code and the versions too: the file may
        outlive them.
        """
        stop = stop or self.stop
        warped = split == "train" and self.augment is not None
        shapes = sorted(winograd.in_use())  # they round otherwise
        used = {module for cut in self.architecture.between(stop=stop) for module in cut.modules}
        return {
            "data": sets.digest,
            "split": split,
            "size": sets.size,
            "weights": json_digest(
                {layer: content for layer, content in self._layers.items() if layer in used}
            ),
            "preprocess": self.preprocess.identity,
            "layer": stop,
            **({"reads": [*self.reads, self.kept_as.__name__]} if self.reads else {}),
            "view": view if warped else 0,
            "augment": asdict(self.augment) if warped and self.augment else None,
            "batch": self.block(split),
            "dtype": self._dtype,
            **({"by_winograd": [list(shape) for shape in shapes]} if shapes else {}),
            "made_by": f"{jax.default_backend()}, jax {jax.__version__}, "
            f"code {_code(type(self.base))}",
        }

    def block(self, split: str) -> int:
        """Return the number of photographs in one pass.

        For held-out splits it is the fastest: on CPU the activations of 4 stay near its caches.
        """
        if split == "train":
            return self.batch
        return 4 if jax.default_backend() == "cpu" else 64

    def exact_at(self, layer: str) -> bool:
        """Tell whether the prefix gives the same bits when it starts from activations of a layer.

        The layer is before `stop`. Never where a head reads others on the way.
        """
        whole = not self.reads and self.kept in (None, "float32", self._dtype)
        return whole and self.architecture.place(layer) < self.architecture.place(self.stop)

    def program(self, *, augment: Augmentation | None, start: str | None, stop: str) -> Program:
        """Make the program `(variables, batch, view [B], example [B]) -> activations` at `stop`.

        The batch is images, or their activations at the layer `start`.
        """

        def program(variables: Variables, batch: Array, view: Array, example: Array, /) -> Array:
            run = functools.partial(self.base.apply, variables, stop=stop)
            if start is not None:
                out, ran = run(batch, start=self.architecture.following(start))
            else:
                if augment is not None:
                    batch = self.augmented(batch, keys=augment_keys(view, example), ranges=augment)
                tokens = jnp.issubdtype(batch.dtype, jnp.signedinteger)
                out, ran = run(batch if tokens else self.preprocess(batch))
            if self.reads:
                maps: Any = ran
                parts = [part.reshape(len(batch), -1) for part in self._held(maps).values()]
                out = jnp.concatenate(parts, axis=1)
            return out if self.kept is None else out.astype(self.kept)

        return program

    def row(self, sets: Sets, *, stop: str | None = None) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of the activations of one view of one photograph."""
        output = self._outputs(sets.spec)[stop or self.stop]
        shape = output.shape[1:]
        if self.reads:
            shape = (sum(math.prod(part) for part in self._parts(sets).values()),)
        return jax.ShapeDtypeStruct(shape, self.kept or output.dtype)

    def entered(self, sets: Sets) -> Callable[[Array], Array | Kept]:
        """Return what makes the network's input of rows of activations: float32, apart again."""
        if not self.reads:
            return lambda rows: rows.astype(jnp.float32)
        shapes = self._parts(sets)
        ends = list(itertools.accumulate(math.prod(shape) for shape in shapes.values()))[:-1]

        def apart(rows: Array) -> Kept:
            parts = jnp.split(rows.astype(jnp.float32), ends, axis=1)
            maps = {
                name: part.reshape(-1, *shape)
                for (name, shape), part in zip(shapes.items(), parts, strict=True)
            }
            return Kept(maps[self.stop], {name: maps[name] for name in self.reads})

        return apart

    def _held(self, ran: Mapping[str, Array]) -> dict[str, Array]:
        """Select what makes a row: the activation at `stop` whole, then what the head reads."""
        read = {name: self.kept_as(ran[name]) for name in self.reads if name != self.stop}
        return {self.stop: ran[self.stop], **read}

    def _parts(self, sets: Sets) -> dict[str, tuple[int, ...]]:
        """Return the shape of each part of a row, in their order."""
        held = jax.eval_shape(self._held, self._outputs(sets.spec))
        return {name: held[name].shape[1:] for name in dict.fromkeys((self.stop, *self.reads))}

    @functools.cached_property
    def _outputs(self) -> Callable[[jax.ShapeDtypeStruct], dict[str, jax.ShapeDtypeStruct]]:
        def outputs(like: jax.ShapeDtypeStruct) -> dict[str, jax.ShapeDtypeStruct]:
            run = functools.partial(self.base.apply, stop=self.stop)
            return jax.eval_shape(
                lambda variables, images: run(variables, images)[1], self.variables, like
            )

        return functools.cache(outputs)

    @functools.cached_property
    def _layers(self) -> dict[str, str]:
        params, moving = self.variables["params"], self.variables.get("batch_stats", {})
        return {
            layer: digest(
                {layer: leaves} | ({"batch_stats": moving[layer]} if layer in moving else {})
            )
            for layer, leaves in params.items()
        }

    @property
    def _dtype(self) -> str:
        base: Any = self.base  # every base has a dtype
        return jnp.dtype(base.dtype).name


@functools.cache
def _code(base: type) -> str:
    """Digest the code that decides activations: other code must not read what this one wrote."""
    from tljax.data import augment
    from tljax.data.text import augment as dropped

    needed = _needed(sys.modules[base.__module__], {}).values()
    modules = (augment, dropped, draws, preprocess, *needed)
    files = [__file__, *(str(module.__file__) for module in modules)]
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()[:16]


def _needed(module: ModuleType, found: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """Collect a module and those of `tljax.models` that it takes anything from, by name."""
    found[module.__name__] = module
    for value in vars(module).values():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
        if str(name).startswith("tljax.models.") and name not in found:
            _needed(sys.modules[name], found)
    return found
