"""First parameters of many seeds in one compiled call."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tljax.models.heads import Classifier


def starts(
    module: Classifier, variables: dict[str, Any], *, seeds: Sequence[int], size: int
) -> Callable[[int], dict[str, Any]]:
    """A function of the seed: `variables` with the head that `build.init` draws for `key(seed)`, at this image size.

    The base is that of `variables`, the same arrays for all.
    """
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None

    def head(key: Any) -> Any:
        return module.init(key, jnp.zeros((1, size, size, 3), jnp.float32))["params"]["head"]

    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    drawn = jax.device_get(jax.jit(jax.vmap(head), compiler_options=options)(keys))
    heads = {seed: jax.tree.map(lambda leaf, i=i: leaf[i], drawn) for i, seed in enumerate(seeds)}
    shared = jax.tree.map(np.asarray, variables)
    return lambda seed: {**shared, "params": {**shared["params"], "head": heads[seed]}}
