"""Which layers to train: each group alone, or all at rates by their relative gradient norms.

Lee et al. 2023, "Surgical fine-tuning improves adaptation to distribution shifts", arXiv
2210.11466.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from tljax.config import Stage
from tljax.data import ImageSet
from tljax.models import ops
from tljax.models.architecture import Architecture
from tljax.optim.rules import Rules
from tljax.train.outcome.trained import Trained
from tljax.tree import Flat, Tree, flatten

BATCH = 16


def alone(stage: Stage, architecture: Architecture, group: str) -> Stage:
    """Return the stage that trains the head and one group of the base's layers."""
    rules: Rules = (("head/.*", 1.0), (architecture.pattern(group), 1.0), ("base/.*", None))
    return replace(stage, name=group, rules=rules, views=_views(stage, architecture, group))


def by_gradient(stage: Stage, architecture: Architecture, norms: Mapping[str, float]) -> Stage:
    """Return the stage that trains all groups at the rates of Auto-RGN (`auto_rgn`)."""
    rates = auto_rgn(norms)
    groups = [(architecture.pattern(group), rates[group] or None) for group in architecture.groups]
    return replace(stage, name="auto-rgn", rules=(("head/.*", 1.0), *groups), views=None)


def auto(stage: Stage, start: Trained, split: ImageSet) -> Stage:
    """Return the stage that trains all groups at rates by a classifier's gradients on photographs.

    It goes on from that classifier, anywhere that a `Stage` goes.
    """
    architecture = start.network.architecture
    norms = relative_norms(gradients(start, split), start.net.params["base"], architecture)
    return by_gradient(stage, architecture, norms)


def auto_rgn(norms: Mapping[str, float]) -> dict[str, float]:
    """Divide relative gradient norms by the largest: each group's multiplier of the rate.

    Section 4.2 of the paper, which measures them at every epoch; here once, before the first step.
    """
    largest = max(norms.values())
    return {group: norm / largest if largest else 0.0 for group, norm in norms.items()}


def relative_norms(gradients: Tree, params: Tree, architecture: Architecture) -> dict[str, float]:
    """Compute |gradient| / |parameters| of each group, from input to output.

    Both are trees of a base. Frobenius norms over all leaves of the group's modules.
    """
    slopes, values = flatten(gradients), flatten(params)
    norms: dict[str, float] = {}
    for group in architecture.groups:
        modules = {m for cut in architecture.cuts if cut.group == group for m in cut.modules}
        paths = [path for path in values if path.split("/")[0] in modules]
        below = _norm(values, paths)
        norms[group] = _norm(slopes, paths) / below if below else 0.0
    return norms


def gradients(trained: Trained, split: ImageSet) -> Tree:
    """Compute the gradient of a classifier's mean loss over photographs, as a tree of its base."""
    net, task = trained.net, trained.task

    def loss(base: Tree, images: jax.Array, labels: jax.Array, mask: jax.Array) -> jax.Array:
        logits = net.run(images, {**net.params, "base": base})[0]
        return (task.losses(logits, labels) * mask).sum()

    slope = ops.jit(jax.grad(loss))
    total, count = None, len(split)
    for first in range(0, count, BATCH):
        rows = np.arange(first, first + BATCH)
        kept = np.minimum(rows, count - 1)
        mask = jnp.asarray(rows < count, jnp.float32)
        part = slope(net.params["base"], split.images[kept], split.labels[kept], mask)
        total = part if total is None else jax.tree.map(jnp.add, total, part)
    return jax.tree.map(partial(jnp.multiply, 1 / count), total)


def _views(stage: Stage, architecture: Architecture, group: str) -> int | str | None:
    """Return the stage's views; none where the first layer trains."""
    return None if group == architecture.groups[0] else stage.views


def _norm(leaves: Flat, paths: list[str]) -> float:
    return math.sqrt(
        sum(float((np.asarray(leaves[path], np.float64) ** 2).sum()) for path in paths)
    )
