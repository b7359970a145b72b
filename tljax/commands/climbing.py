"""Rungs trained in order, each with all seeds: in one program where that is the faster way, else one after another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp

from tljax import config
from tljax.audit.forecast import outlook
from tljax.config import Stage
from tljax.data import ImageSets
from tljax.data.preprocess import UNIT
from tljax.machine import processes
from tljax.models.build import Network
from tljax.report.tables.plan import plan_table
from tljax.runs.workdir import Workdir
from tljax.sweep import sweep
from tljax.train import rung as rung_lib
from tljax.train.program import Program, ahead
from tljax.train.rung import Ready, Trained
from tljax.weights import Weights

Stages = Mapping[str, tuple[Network, Stage]]


def compile_ahead(
    stages: Stages, sets: ImageSets, *, weights: Weights | None, dtype: Any, seeds: Sequence[int]
) -> dict[str, Program]:
    """The programs of stages that run one seed at a time, compiled side by side; prints what each will do and cost."""
    outlines: dict[str, tuple[Stage, Ready]] = {}
    for name, (network, stage) in stages.items():
        preprocess = weights.preprocess if weights and network.base == "vgg16" else UNIT
        outlines[name] = (stage, rung_lib.outline(stage, network, sets, preprocess=preprocess, dtype=dtype))
    stepped = {name: pair for name, pair in outlines.items() if pair[0].solver == "steps"}
    alone = {name: pair for name, pair in stepped.items() if len(seeds) == 1 or sweep.fits_sweep(*pair) is not None}
    programs = ahead(alone)
    _say(plan_table(outlook(outlines, programs)))
    return programs


def climb(
    stages: Stages,
    sets: ImageSets,
    *,
    seeds: Sequence[int],
    weights: Weights | None,
    workdir: Workdir,
    starts_from: Mapping[str, str] = config.STARTS_FROM,
    carry: bool = False,
    dtype: Any = jnp.float32,
    programs: Mapping[str, Program] | None = None,
    progress: bool = True,
) -> dict[int, dict[str, Trained]]:
    """Train the rungs in order with each seed, each from the rung it builds on (`starts_from`) where it builds on one.

    They are reported under the names of their stages. `carry` keeps the optimizer state of the rung before where the
    kind of optimizer is the same. `programs` are those compiled ahead, by rung.
    """
    done: dict[int, dict[str, Trained]] = {seed: {} for seed in seeds}
    for name, (network, stage) in stages.items():
        below = starts_from.get(name, "")
        carried = carry and below in stages and stages[below][1].optimizer.name == stage.optimizer.name
        names = list(stages)
        ahead = [stages[later][1] for later in names[names.index(name) + 1 :]]
        run = _Run(stage, network, sets, weights, workdir, dtype, ahead, progress)
        before = {seed: done[seed].get(below) for seed in seeds}
        new = {seed: before[seed] for seed in seeds if not run.begun(seed)}
        trained = _together(run, new, carried=carried) if len(seeds) > 1 and new else {}
        for seed in seeds:
            program = (programs or {}).get(name)
            alone = {"carry": carried, "program": program}
            done[seed][name] = trained.get(seed) or run.alone(seed, before[seed], **alone)
            workdir.finish(stage.name, done[seed][name], seed=seed, stage=stage, sets=sets)
    return done


class _Run:
    """A rung with what all its seeds share."""

    def __init__(
        self,
        stage: Stage,
        network: Network,
        sets: ImageSets,
        weights: Weights | None,
        workdir: Workdir,
        dtype: Any,
        ahead: Sequence[Stage],
        progress: bool,
    ) -> None:
        self.stage, self.network, self.sets, self.workdir = stage, network, sets, workdir
        self._shared: dict[str, Any] = {"store": workdir.features, "weights": weights, "dtype": dtype}
        self._shared |= {"ahead": ahead, "progress": progress}

    def alone(self, seed: int, before: Trained | None, *, carry: bool, program: Program | None) -> Trained:
        kept = self.workdir.kept(self.stage.name, seed=seed)
        if self.stage.solver != "steps" and kept["finished"] is None:
            self.workdir.forget(self.stage.name, seed=seed)  # a run may have been killed before it was finished
        return rung_lib.run(
            self.stage,
            self.network,
            self.sets,
            seed=seed,
            before=before,
            carry=carry,
            program=program,
            on_epoch=lambda record, state: self.workdir.log(record),
            **kept,
            **self._shared,
        )

    def ready(self, seed: int, before: Trained | None) -> Ready:
        return rung_lib.prepare(self.stage, self.network, self.sets, seed=seed, before=before, **self._shared)

    def begun(self, seed: int) -> bool:
        """Whether a run that is resumed has finished it, or has a part of it that one seed at a time can go on with."""
        kept = self.workdir.kept(self.stage.name, seed=seed)
        return kept["finished"] is not None or kept["saver"].begun()


def _together(run: _Run, before: Mapping[int, Trained | None], *, carried: bool) -> dict[int, Trained]:
    """All seeds in one program; none, after saying why, where they are better run one after another."""
    seeds, stage = list(before), run.stage
    why = sweep.fits_sweep(stage, rung_lib.outline(stage, run.network, run.sets))
    if why is None and carried:
        why = "the optimizer goes on from the stage before"
    if why is not None:
        if len(seeds) > 1:
            _say(f"{stage.name}: {len(seeds)} seeds one after another: {why}")
        return {}
    readies: dict[int, Ready] = {}
    for seed in seeds:
        readies[seed] = _sharing(run.ready(seed, before[seed]), readies.get(seeds[0]))
    found = sweep.train_seeds(stage, readies, tell=_say)
    trained = {}
    for seed, (state, history) in zip(seeds, found, strict=True):
        run.workdir.forget(stage.name, seed=seed)  # a run may have been killed before it was finished
        for record in history.epochs:
            run.workdir.log(record)
        trained[seed] = rung_lib.trained(stage, readies[seed], state, history)
    return trained


def _sharing(ready: Ready, first: Ready | None) -> Ready:
    """With the activations of the first seed where they are the same: held once."""
    if first is None or not ready.inputs.files or ready.inputs.files != first.inputs.files:
        return ready
    return replace(ready, inputs=replace(first.inputs, made=ready.inputs.made, seconds=ready.inputs.seconds))


def _say(line: str) -> None:
    if processes.first():
        print(line, flush=True)
