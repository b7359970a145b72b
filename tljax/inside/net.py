"""A trained network and all that is needed to run it on photographs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array

from tljax.data.preprocess import Preprocess
from tljax.models import ops
from tljax.models.heads import Classifier

BATCH = 32


@dataclass(frozen=True)
class Net:
    """A classifier as a run left it. Images are RGB in 0..255, uint8 or float, `[N, size, size, 3]`."""

    module: Classifier
    params: dict[str, Any]
    preprocess: Preprocess
    classes: tuple[str, ...]
    size: int
    rung: str = ""
    seed: int = 0

    def run(self, images: Array, params: dict[str, Any]) -> tuple[Array, dict[str, Array]]:
        """`(logits, out)` of images, `out` with every named activation."""
        found: Any = self.module.apply({"params": params}, self.preprocess(images))
        return found

    def onward(self, activation: Array, params: dict[str, Any], *, start: str) -> Array:
        """Logits of the input of layer `start`."""
        return self.module.apply({"params": params}, activation, start=start)[0]


def in_batches(program: Callable[..., Any], params: Any, *arrays: np.ndarray) -> Any:
    """`program(params, *batch)` over arrays of equal length, compiled once; a pytree of numpy arrays `[N, ...]`.

    The last batch is padded with its first row, and cut.
    """
    compiled, count, parts = ops.jit(program), len(arrays[0]), []
    batch = min(BATCH, count)
    for at in range(0, count, batch):
        here = min(batch, count - at)
        rows = at + np.arange(batch) % here
        part = compiled(params, *(np.asarray(array[rows]) for array in arrays))
        parts.append(jax.tree.map(lambda x, here=here: np.asarray(x)[:here], part))
    return jax.tree.map(lambda *pieces: np.concatenate(pieces), *parts)


def score(logits: Array, wanted: Array) -> Array:
    """`[N]` logit of each example's class `wanted`; of a single logit it is that of class 1, and its negative of 0."""
    if logits.shape[-1] == 1:
        return (2.0 * wanted - 1.0) * logits[:, 0]
    return logits[np.arange(len(logits)), wanted]
