"""Activations of every cut of a frozen base, averaged over places: one row for each example.

Head2Toe's features (Evci et al. 2022, "Head2Toe: utilizing intermediate representations for better
transfer learning"). Those of a whole split are kept in the feature store.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax import waiting
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.files.disk import Unwritable
from tljax.inputs import feature_store
from tljax.inputs.prefix import Prefix
from tljax.models import ops
from tljax.models.text import tokens
from tljax.tree import Variables, json_digest

PER_LAYER = 512  # features of a layer, the least that the paper tries


@dataclass(frozen=True)
class Features:
    """Features of examples, a row for each.

    `layers` `[N, D]` holds the pooled activations, cut after cut with `widths` in all D columns;
    `last` `[N, E]` is the base's output, flattened.
    """

    widths: Mapping[str, int]
    layers: np.ndarray
    last: np.ndarray

    def of(self, places: np.ndarray) -> "Features":
        """Select examples by their places."""
        return Features(self.widths, self.layers[places], self.last[places])


def pooled(x: Array, *, most: int) -> Array:
    """Average an activation over its places: `[N, D]`, D at most `most` unless C alone is more.

    A map `[N, h, w, C]` is averaged in the cells of a square grid, as fine as `most` allows; tokens
    `[N, T, C]` are averaged over those that are no padding; `[N, C]` stays.
    """
    if x.ndim == 2:
        return x
    if x.ndim == 3:
        return tokens.mean(x)
    if x.ndim != 4:
        raise InputError(f"head2toe: expected maps, tokens or vectors, found {x.shape[1:]}")
    height, width, channels = x.shape[1:]
    side = max(1, min(height, width, math.isqrt(most // channels)))
    cells = jnp.einsum("gh,nhwc,kw->ngkc", _cells(height, side), x, _cells(width, side))
    return cells.reshape(len(x), -1)


def _cells(length: int, count: int) -> np.ndarray:
    """Make the matrix `[count, length]` that averages within `count` spans, which may overlap."""
    starts = np.arange(count) * length // count
    stops = -(-np.arange(1, count + 1) * length // count)
    places = np.arange(length)
    within = (starts[:, None] <= places) & (places < stops[:, None])
    return (within / within.sum(1, keepdims=True)).astype(np.float32)


class Pooled:
    """Computes `Features` of examples with a whole base, `prefix` up to its last cut."""

    def __init__(
        self, prefix: Prefix, like: jax.ShapeDtypeStruct, *, most: int = PER_LAYER, progress: bool
    ) -> None:
        """Prepare the program; `like` is one example as a network takes it."""
        self._prefix, self._most, self._progress = prefix, most, progress
        architecture = prefix.architecture
        if not (architecture.pretrained and architecture.cuts):
            raise InputError(
                f"head2toe: expected a pretrained base with layers, found {architecture.name}"
            )
        last, ran = jax.eval_shape(prefix.base.apply, prefix.variables, like)
        self.widths: dict[str, int] = {}
        for cut in architecture.cuts:
            width = jax.eval_shape(partial(pooled, most=most), ran[cut.name]).shape[1]
            # The base's own mean over places would be the layer before it once more.
            mean = not cut.modules and ran[cut.name].ndim == 2
            if not (mean and [width] == [*self.widths.values()][-1:]):
                self.widths[cut.name] = width
        self._total = sum(self.widths.values()) + math.prod(last.shape[1:])

    def features(self, inputs: np.ndarray, what: str) -> Features:
        """Compute the features of examples `[N, ...]`, with a bar that says `what` they are."""
        rows = feature_store.Rows("held_out", {}, len(inputs), (self._total,))
        with self._bar(what, inputs):
            return self._apart(
                feature_store.computed(rows, compute=self._compute(inputs), block=self._block)
            )

    def split(self, sets: Sets, name: str, store: Path) -> Features:
        """Return the features of a split, read from the store where they are kept."""
        inputs = sets.splits[name].inputs
        identity = {
            **self._prefix.identity(sets, split=name),
            "layer": "all",
            "pooled": self._most,
            "batch": self._block,
            "pooled_by": hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16],
        }
        target = feature_store.Rows(name, identity, len(inputs), (self._total,))
        data, weights = str(identity["data"])[:8], str(identity["weights"])[:8]
        file = Path(f"all-{data}-{weights}", f"{name}-{json_digest(identity)[:16]}.h5")
        compute = self._compute(inputs)
        with self._bar(name, inputs):
            try:
                rows = feature_store.stored(
                    store / file, target, compute=compute, block=self._block
                )
            except Unwritable as error:
                waiting.say(f"{error}; features are not kept")
                rows = feature_store.computed(target, compute=compute, block=self._block)
        return self._apart(rows)

    def _apart(self, rows: np.ndarray) -> Features:
        total = sum(self.widths.values())
        return Features(self.widths, rows[:, :total], rows[:, total:])

    def _bar(self, what: str, inputs: np.ndarray) -> waiting.Bar:
        label = f"base: {what} through all layers"
        self._shown = waiting.bar(len(inputs), label, unit="examples", shown=self._progress)
        return self._shown

    @property
    def _block(self) -> int:
        return self._prefix.block("validation")

    def _compute(self, inputs: np.ndarray) -> feature_store.Compute:
        def compute(first: int, last: int) -> np.ndarray:
            # Always a whole block, the last one padded with its own first rows.
            batch = inputs[first + np.arange(self._block) % (last - first)]
            made = self._compiled(self._prefix.variables, batch)
            self._shown.update(last - first)
            parts = [np.asarray(each).reshape(self._block, -1) for each in made]
            return np.concatenate(parts, axis=1)[: last - first]

        return compute

    @cached_property
    def _compiled(self) -> Any:
        return ops.jit(self._program)

    def _program(self, variables: Variables, batch: Array) -> list[Array]:
        """Compute the pooled output of every cut, and last the base's own, as it is: float32."""
        words = jnp.issubdtype(batch.dtype, jnp.signedinteger)
        entering = batch if words else self._prefix.preprocess(batch)
        output, ran = self._prefix.base.apply(variables, entering)
        maps: Any = ran
        parts = [pooled(maps[name], most=self._most) for name in self.widths]
        last: Any = output
        return [part.astype(jnp.float32) for part in [*parts, last]]
