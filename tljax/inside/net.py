"""A trained network with everything needed to run it on photographs."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.data.photos import Size, side
from tljax.data.preprocess import Prepare
from tljax.models import ops
from tljax.models.architecture import Architecture, images_of
from tljax.models.build import Network
from tljax.models.classifiers import Classifier, Kept, reads_of
from tljax.models.heads import Head, parts, rms_norm
from tljax.tree import Params, PyTree, Variables

BATCH = 32


@dataclass(frozen=True)
class Net:
    """A classifier as a run left it.

    Images are RGB in 0..255, uint8 or float, `[N, size, size, 3]`.
    """

    module: Classifier
    params: Params
    preprocess: Prepare
    classes: tuple[str, ...]
    size: Size
    rung: str = ""
    seed: int = 0
    statistics: Variables = field(default_factory=dict)  # {"batch_stats"}, where it has some
    network: Network = field(default_factory=Network)

    @property
    def side(self) -> int:
        """Return the side of the square images; InputError for a network of others."""
        return side(self.size)

    @property
    def architecture(self) -> Architecture:
        """Return what is known of the base."""
        return self.network.architecture

    @functools.cached_property
    def sides(self) -> dict[str, int]:
        """Map each layer of the base whose output is a map `[N, h, w, C]` to its rows."""
        image = images_of(self.size)
        variables = {"params": self.params, **self.statistics}
        _, out = jax.eval_shape(self.module.apply, variables, image)
        return {
            name.removeprefix("base/"): value.shape[1]
            for name, value in out.items()
            if name.startswith("base/") and value.ndim == 4
        }

    @functools.cached_property
    def classify(self) -> Callable[[Params, Array], Array]:
        """Return the function from parameters and images to probabilities `[N, classes]`."""

        def probabilities(params: Params, batch: Array) -> Array:
            logits = self.run(batch, params)[0]
            if logits.shape[-1] == 1:
                logits = jnp.concatenate([-logits, logits], -1) / 2
            return jax.nn.softmax(logits)

        return probabilities  # one function, so that it is compiled once for each size of batch

    def run(self, images: Array, params: Params) -> tuple[Array, dict[str, Array]]:
        """Run the network on images: `(logits, out)`, `out` with every named activation."""
        variables = {"params": params, **self.statistics}
        result: Any = self.module.apply(variables, self.preprocess(images))
        return result

    def entering(self, layer: str, activation: Array, out: Mapping[str, Array]) -> Array | Kept:
        """Return what enters the network behind a layer with this activation.

        Where the head reads layers up to it, theirs come along: `out` is what `run` gave.
        """
        architecture = self.architecture
        if not (reads := reads_of(self.module.head)):
            return activation
        before = [n for n in reads if architecture.place(n) < architecture.place(layer)]
        read = {name: out[f"base/{name}"] for name in before}
        return Kept(activation, {**read, layer: activation})

    def onward(self, activation: Array | Kept, params: Params, *, start: str) -> Array:
        """Compute the logits from the input of layer `start`."""
        return self.module.apply({"params": params, **self.statistics}, activation, start=start)[0]

    def evidence(self, activation: Array | Kept, params: Params, *, start: str) -> Array:
        """Compute the logits as `onward` does, with a constant for the norm of the features.

        A logit of normalised features is the same for all multiples of them: along themselves it
        has no gradient.
        """
        head = self.module.head
        if not (isinstance(head, Head) and head.norm):
            return self.onward(activation, params, start=start)
        variables = {"params": params, **self.statistics}
        whole = self.module.clone(head=_Features(head.reads))
        features: Any = whole.apply(variables, activation, start=start)[0]
        plain = self.module.clone(head=head.clone(norm=False, reads=()))
        held = jnp.concatenate([_held_norm(part) for part in features], axis=-1)
        return plain.apply(variables, held, start="head")[0]


class _Features(nn.Module):
    """Stands for a head, and hands on the parts that it would get."""

    reads: tuple[str, ...] = ()

    @nn.compact
    def __call__(
        self, x: Array, *, activations: Mapping[str, Array] | None = None, **_: Any
    ) -> tuple[list[Array], dict[str, Array]]:
        return parts(x, activations or {}, reads=self.reads), {}


def _held_norm(features: Array) -> Array:
    """Normalise rows as `rms_norm` does, x * factor, with a constant for the factor."""
    before, after = (jnp.linalg.norm(x, axis=-1) for x in (features, rms_norm(features)))
    factor = after / jnp.maximum(before, 1e-12)
    return features * jax.lax.stop_gradient(factor)[:, None]


def in_batches(program: Callable[..., PyTree], params: Params, *arrays: np.ndarray) -> PyTree:
    """Call `program(params, *batch)` over arrays of equal length, compiled once.

    Returns a pytree of numpy arrays `[N, ...]`. The last batch is padded with its own rows, and its
    results are cut.
    """
    compiled, count, parts = ops.jit(program), len(arrays[0]), []
    batch = min(BATCH, count)
    for start in range(0, count, batch):
        size = min(batch, count - start)
        rows = start + np.arange(batch) % size
        part = compiled(params, *(np.asarray(array[rows]) for array in arrays))
        parts.append(jax.tree.map(lambda x, size=size: np.asarray(x)[:size], part))
    return jax.tree.map(lambda *pieces: np.concatenate(pieces), *parts)


def score(logits: Array, classes: Array) -> Array:
    """Select the logit of each example's class: `[N]`.

    A single logit is that of class 1, and its negative that of class 0.
    """
    if logits.shape[-1] == 1:
        return (2.0 * classes - 1.0) * logits[:, 0]
    return logits[np.arange(len(logits)), classes]
