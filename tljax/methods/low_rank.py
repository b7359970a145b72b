"""Small changes of a base: low-rank updates of kernels, or biases alone; and what they weigh.

LoRA: Hu et al. 2021, arXiv 2106.09685. A kernel of shape `[..., out]` is taken as a matrix of all
its other sides by `out`; its change is the product of two thin matrices, of which the second starts
at zero: the network starts as it was.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import math
import re
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from tljax.config import HEAD_ONLY, Stage
from tljax.errors import InputError
from tljax.models import build
from tljax.optim import rules as rules_lib
from tljax.optim.rules import Rules
from tljax.train import rung
from tljax.train.outcome.trained import Trained
from tljax.train.ready import Ready
from tljax.train.step import Variables, averaged
from tljax.tree import Flat, Params, Tree, flatten, nest

LOW_RANK: Rules = (("head/.*", 1.0), ("low_rank/.*", 1.0), ("base/.*", None))


def biases(pattern: str) -> Rules:
    """Make rules that train the head, and of the layers of a pattern the biases and scales alone.

    `pattern` is that of groups of layers, such as `base/block5_.*` or `base/top_.*|base/stage7_.*`.
    """
    return (("head/.*", 1.0), (f"(?:{pattern})(bias|scale)", 1.0), ("base/.*", None))


def of_base(rules: Rules) -> str:
    """Join the patterns of rules that train layers of the base: one that matches each of them."""
    return "|".join(pattern for pattern, rate in rules if rate and pattern.startswith("base/"))


def factors(base: Tree, pattern: str, *, rank: int, key: Array) -> Params:
    """Draw factors for each kernel of a base that a pattern matches: `{path: {"down", "up"}}`.

    `down` `[inputs, rank]` is normal with variance 1 / inputs, `up` `[rank, out]` zero. Paths begin
    with `base/`. InputError where the pattern matches no kernel.
    """
    kernels = {
        path: leaf
        for path, leaf in flatten({"base": base}).items()
        if path.endswith("/kernel") and re.fullmatch(pattern, path)
    }
    if not kernels:
        raise InputError(f"low rank: {pattern!r} matches no kernel")
    leaves: Flat = {}
    for number, (path, leaf) in enumerate(kernels.items()):
        inputs, outputs = math.prod(leaf.shape[:-1]), leaf.shape[-1]
        drawn = jax.random.normal(jax.random.fold_in(key, number), (inputs, rank))
        leaves[f"{path}/down"] = drawn / math.sqrt(inputs)
        leaves[f"{path}/up"] = jnp.zeros((rank, outputs))
    return nest("low rank", leaves)


def merged(params: Params) -> Params:
    """Add the products of `params["low_rank"]` to the kernels, and return `{"base", "head"}`."""
    leaves = flatten({name: tree for name, tree in params.items() if name != "low_rank"})
    pairs = flatten(params["low_rank"])
    for path in {path.rpartition("/")[0] for path in pairs}:
        product = jnp.matmul(
            pairs[f"{path}/down"], pairs[f"{path}/up"], precision=jax.lax.Precision.HIGHEST
        )
        kernel = leaves[path]
        leaves[path] = kernel + product.reshape(kernel.shape).astype(kernel.dtype)
    return nest("low rank", leaves)


class LowRank:
    """A classifier whose parameters have `low_rank` beside `base` and `head`."""

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def apply(self, variables: Variables, x: Array, /, **options: Any) -> Any:
        """Run the classifier with its kernels changed; see Flax's `Module.apply`."""
        params = merged(variables["params"])
        return self.inner.apply({**variables, "params": params}, x, **options)


def train(
    stage: Stage, ready: Ready, *, pattern: str, rank: int, seed: int, progress: bool
) -> Trained:
    """Train the head and low-rank updates of the kernels of a pattern; return a plain classifier.

    `ready` is made for a stage that trains these layers whole: it reads what comes before them.
    """
    params = ready.variables["params"]
    drawn = factors(params["base"], pattern, rank=rank, key=jax.random.key(seed))
    frozen = rules_lib.frozen_layers(params, HEAD_ONLY)
    inner = build.classifier(
        ready.described(),
        classes=len(ready.inputs.classes),
        task=ready.inputs.task,
        frozen=frozen,
    )
    module: Any = LowRank(inner)  # all that a stage asks of a module is `apply`
    variables = {**ready.variables, "params": {**params, "low_rank": drawn}}
    lower = replace(ready, module=module, variables=variables)
    thin = replace(stage, name=f"rank-{rank}", rules=LOW_RANK)
    made = rung.run(thin, lower, seed=seed, progress=progress)
    whole = merged(averaged(made.state))
    total = sum(leaf.size for leaf in jax.tree.leaves(whole))
    state = made.state.replace(params=whole, ema={}, opt_state=None)
    return replace(made, state=state, total_params=total)
