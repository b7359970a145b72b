"""Points on the line between two classifiers with a common ancestor.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), arXiv 2109.01903, equation
2: `(1 - share) * before + share * after`, leaf by leaf.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from tljax.methods.judge import mixed, variables_of
from tljax.train.outcome.trained import Trained
from tljax.train.step import State, Variables


def between(before: Variables, after: Variables, share: float) -> Variables:
    """Return the variables a share of the way from one classifier to another, its ends' bits."""
    return mixed([before, after], [1 - share, share])


def shares(points: int) -> list[float]:
    """List shares from 0 to 1, both included, evenly."""
    return [float(share) for share in np.linspace(0, 1, points).round(6)]


def weights(share: float, seeds: int) -> np.ndarray:
    """Return the weights `[S, 2 S]` of each seed's point.

    Members are the classifiers before, by seed, then those after.
    """
    return np.hstack([(1 - share) * np.eye(seeds), share * np.eye(seeds)])


def named(
    like: Trained, members: Sequence[Trained], mixture: Sequence[float], *, rung: str
) -> Trained:
    """Make a classifier of a mixture of members, with the history of `like` and a name of its own.

    Its validation scores are unknown until `scored` has them.
    """
    variables = mixed([variables_of(member) for member in members], mixture)
    state = State(jnp.int32(0), variables.pop("params"), variables, {})
    return replace(like, state=state, rung=rung, alarm=None, solution=None, finding=None)


def scored(trained: Trained, logits: np.ndarray, labels: np.ndarray) -> Trained:
    """Give a classifier that was not trained but made its scores on the validation photographs."""
    found = trained.task.judged(logits, labels)
    last = {**trained.history.result(), "rung": trained.rung, "validation": found}
    history = replace(trained.history, epochs=[last], kept=None, collapsed=None)
    return replace(trained, history=history, scores={"validation": found})
