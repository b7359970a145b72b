"""Initial parameters for many seeds, drawn in one compiled call: of heads, or of whole networks."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tljax.train.ready import Ready


def starts(
    ready: Ready, *, seeds: Sequence[int], like: jax.ShapeDtypeStruct
) -> Callable[[int], Ready]:
    """Return a function of the seed: what is ready, with the head that `build.init` draws for it.

    `like` is one example as the network takes it. The base's arrays are those of
    `ready.variables`, shared by all.
    """

    def head(key: Any) -> Any:
        return ready.module.init(key, jnp.zeros(like.shape, like.dtype))["params"]["head"]

    heads = _drawn(head, seeds)
    shared = jax.tree.map(np.asarray, ready.variables)

    def start(seed: int) -> Ready:
        params = {**shared["params"], "head": heads[seed]}
        return replace(ready, variables={**shared, "params": params})

    return start


def networks(
    ready: Ready, *, seeds: Sequence[int], like: jax.ShapeDtypeStruct
) -> Callable[[int], Ready]:
    """Return a function of the seed: what is ready, with all variables that `build.init` draws.

    For a stage that trains a base without pretrained weights; `like` as in `starts`.
    """
    drawn = _drawn(lambda key: ready.module.init(key, jnp.zeros(like.shape, like.dtype)), seeds)
    return lambda seed: replace(ready, variables=drawn[seed])


def _drawn(draw: Callable[[Any], Any], seeds: Sequence[int]) -> dict[int, Any]:
    """Draw a tree for each seed, as `draw` does from its key alone."""
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    trees = jax.device_get(jax.jit(jax.vmap(draw), compiler_options=options)(keys))
    return {seed: jax.tree.map(lambda leaf, i=i: leaf[i], trees) for i, seed in enumerate(seeds)}
