"""A plan carried out, stage after stage."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from tljax.config import Plan, Stage
from tljax.data import ImageSets
from tljax.inputs.activations import Store
from tljax.models.build import Network
from tljax.train import rung, step
from tljax.train.program import Program
from tljax.weights import Weights


def train_plan(
    plan: Plan,
    network: Network,
    sets: ImageSets,
    *,
    seed: int,
    store: Store,
    weights: Weights | None = None,
    before: rung.Trained | None = None,
    dtype: Any = jnp.float32,
    on_epoch: Callable[[dict[str, Any], step.State], None] = lambda record, state: None,
    on_stage: Callable[[Stage, rung.Trained], None] = lambda stage, trained: None,
    kept: Callable[[Stage], dict[str, Any]] = lambda stage: {},
    programs: Mapping[str, Program] | None = None,
    progress: bool = True,
) -> list[rung.Trained]:
    """Train the stages in order, each from the one before, and return what each left.

    Optimizer state goes along for the leaves that were training, where the next stage has the same kind of optimizer.
    `kept(stage)` gives `saver` and `finished` of `rung.run`, to go on where a run stopped.
    `before` is what the first stage starts from in place of `weights`. `programs` are those compiled ahead, by stage.
    Arguments as in `rung.run`.
    """
    done: list[rung.Trained] = []
    for at, stage in enumerate(plan.stages):
        carry = at > 0 and plan.stages[at - 1].optimizer.name == stage.optimizer.name
        trained = rung.run(
            stage,
            network,
            sets,
            seed=seed,
            store=store,
            weights=weights,
            before=done[-1] if done else before,
            carry=carry,
            dtype=dtype,
            ahead=plan.stages[at + 1 :],
            on_epoch=on_epoch,
            program=programs.get(stage.name) if programs else None,
            **kept(stage),
            progress=progress,
        )
        on_stage(stage, trained)
        done.append(trained)
    return done
