"""Carry out a plan, stage after stage."""

# pyright: strict

from collections.abc import Callable, Mapping

from tljax.config import Plan, Stage
from tljax.models.build import Network
from tljax.train import rung, setup
from tljax.train.history import OnEpoch, ignore
from tljax.train.program import Program
from tljax.train.resume import Slot
from tljax.train.source import Source


def train_plan(
    plan: Plan,
    network: Network,
    source: Source,
    *,
    seed: int,
    before: rung.Trained | None = None,
    on_epoch: OnEpoch = ignore,
    slot: Callable[[Stage], Slot | None] = lambda stage: None,
    programs: Mapping[str, Program] | None = None,
) -> list[rung.Trained]:
    """Train the stages in order, each from the one before, and return the result of each.

    Optimizer state is carried over for the leaves that were training, where the next stage has the
    same kind of optimizer. The first stage starts from `before` if there is one, else from the base
    of `source`. `slot(stage)` is where a stage is saved, to continue a plan that was stopped.
    `programs` are those compiled ahead, by stage.
    """
    done: list[rung.Trained] = []
    for number, stage in enumerate(plan.stages):
        ready = setup.prepare(
            stage,
            network,
            source,
            seed=seed,
            before=done[-1] if done else before,
            carry=number > 0 and _same_optimizer(plan.stages[number - 1], stage),
            ahead=plan.stages[number + 1 :],
        )
        trained = rung.run(
            stage,
            ready,
            seed=seed,
            slot=slot(stage),
            program=programs.get(stage.name) if programs else None,
            on_epoch=on_epoch,
            progress=source.progress,
        )
        done.append(trained)
    return done


def _same_optimizer(one: Stage, other: Stage) -> bool:
    return one.optimizer.name == other.optimizer.name
