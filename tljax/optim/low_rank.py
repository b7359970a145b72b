"""Low-rank updates of kernels, `params["low_rank"]`: drawn, added while they train, and at the end.

LoRA: Hu et al. 2021, arXiv 2106.09685. A kernel of shape `[..., out]` is taken as a matrix of all
its other sides by `out`; its update is the product of two thin matrices, of which the second starts
at zero: the network starts as it was. Which kernels have one is said by rules (`rules.LowRank`);
`updates` makes some, and `biases` those that train as little without.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.optim.rules import FACTORS, LowRank, Rules, low_rank
from tljax.tree import Flat, Params, Tree, Variables, flatten, nest

NAME = FACTORS.rstrip("/")


def updates(rules: Rules, rank: int) -> Rules:
    """Train low-rank updates of the layers of the base that rules train, and the head.

    >>> updates((("head/.*", 1.0), ("base/block5_.*", 1.0), ("base/.*", None)), 4)
    (('head/.*', 1.0), ('base/block5_.*', LowRank(rank=4, rate=1.0)), ('base/.*', None))
    """
    return (("head/.*", 1.0), (_of_base(rules), LowRank(rank)), ("base/.*", None))


def biases(rules: Rules) -> Rules:
    """Train the biases and scales alone of the layers of the base that rules train, and the head.

    >>> biases((("head/.*", 1.0), ("base/block5_.*", 1.0), ("base/.*", None)))
    (('head/.*', 1.0), ('(?:base/block5_.*)(bias|scale)', 1.0), ('base/.*', None))
    """
    return (("head/.*", 1.0), (f"(?:{_of_base(rules)})(bias|scale)", 1.0), ("base/.*", None))


def with_factors(params: Params, rules: Rules, *, key: Array) -> Params:
    """Draw factors for each kernel that rules give a low-rank update: `{path: {"down", "up"}}`.

    They are put beside `base` and `head`; without such a rule `params` stay as they are. `down`
    `[inputs, rank]` is normal with variance 1 / inputs, `up` `[rank, out]` zero.
    """
    flat, factors = flatten(params), dict[str, Array]()
    for number, (path, value) in enumerate(low_rank(flat, rules).items()):
        inputs, outputs = math.prod(flat[path].shape[:-1]), flat[path].shape[-1]
        drawn = jax.random.normal(jax.random.fold_in(key, number), (inputs, value.rank))
        factors[f"{path}/down"] = drawn / math.sqrt(inputs)
        factors[f"{path}/up"] = jnp.zeros((value.rank, outputs))
    return {**params, NAME: nest("low rank", factors)} if factors else params


def through(apply: Callable[..., Any]) -> Callable[..., Any]:
    """Make of a module's `apply` one that takes parameters with factors, and adds their products.

    Parameters without factors go through as they are.
    """

    def run(variables: Variables, x: Any, /, **options: Any) -> Any:
        params = variables["params"]
        if NAME in params:
            variables = {**variables, "params": _added(params, _traced)}
        return apply(variables, x, **options)

    return run


def merged(params: Params) -> Params:
    """Add the products to their kernels for good, and return the parameters of a plain classifier.

    NumPy, an operation at a time: the same bits on every machine, from a file too.
    """
    return _added(jax.device_get(params), updated) if NAME in params else params


def updated(kernel: np.ndarray, down: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Add the product of factors to a kernel: a sum of outer products in their order."""
    total = np.zeros((len(down), up.shape[1]), np.float32)
    for column, row in zip(down.T, up, strict=True):
        total += column[:, None] * row
    return kernel + total.reshape(kernel.shape).astype(kernel.dtype)


def _of_base(rules: Rules) -> str:
    """Join the patterns of rules that train layers of the base: one that matches each of them."""
    return "|".join(pattern for pattern, rate in rules if rate and pattern.startswith("base/"))


def _traced(kernel: Array, down: Array, up: Array) -> Array:
    product = jnp.matmul(down, up, precision=jax.lax.Precision.HIGHEST)
    return kernel + product.reshape(kernel.shape).astype(kernel.dtype)


def _added(params: Tree, update: Callable[[Any, Any, Any], Any]) -> Params:
    leaves: Flat = flatten({name: tree for name, tree in params.items() if name != NAME})
    pairs = flatten(params[NAME])
    for path in dict.fromkeys(path.rpartition("/")[0] for path in pairs):
        leaves[path] = update(leaves[path], pairs[f"{path}/down"], pairs[f"{path}/up"])
    return nest("low rank", leaves)
