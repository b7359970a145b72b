"""Initial parameters for many seeds in one compiled call."""

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
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None

    def head(key: Any) -> Any:
        return ready.module.init(key, jnp.zeros(like.shape, like.dtype))["params"]["head"]

    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    drawn = jax.device_get(jax.jit(jax.vmap(head), compiler_options=options)(keys))
    heads = {seed: jax.tree.map(lambda leaf, i=i: leaf[i], drawn) for i, seed in enumerate(seeds)}
    shared = jax.tree.map(np.asarray, ready.variables)

    def start(seed: int) -> Ready:
        params = {**shared["params"], "head": heads[seed]}
        return replace(ready, variables={**shared, "params": params})

    return start
