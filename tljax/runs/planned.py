"""schedules.json: what a run's stages do with their hyperparameters, kept when it begins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tljax.config import Stage
from tljax.errors import InputError
from tljax.files import disk
from tljax.runs.results import read_json, typed
from tljax.train.segments import hyperparameters

Stages = Sequence[tuple[str, Mapping[str, np.ndarray]]]  # name, and hyperparameter -> its value at each step

POINTS = 400  # of a stage at most: a pixel of the picture each


def write_planned(stages: Iterable[Stage], *, images: int, workdir: Path) -> Path:
    """`schedules.json`: each stage's hyperparameters at steps evenly through it, for so many training images.

    Those that stay at nothing are left out, the rate of a stage whose range test has yet to find it, and a stage that
    is solved without steps.
    """
    told = [_stage(stage, images) for stage in stages if stage.solver == "steps"]
    return disk.write_json(workdir / "schedules.json", {"stages": told})


def read_planned(workdir: Path) -> Stages:
    """What was kept, each value held until the next that is known; empty for a run of old. InputError if garbled."""
    path = workdir / "schedules.json"
    if not path.is_file():
        return []
    stages = typed(read_json(path), "stages", list, str(path))
    try:
        return [_expanded(told) for told in stages]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: expected stages with steps and values, found {error!r}") from None


def _stage(stage: Stage, images: int) -> dict:
    steps = stage.epochs * stage.steps_per_epoch(images)
    at = np.unique(np.linspace(0, steps - 1, min(steps, POINTS)).round().astype(int)).tolist()
    found = hyperparameters(replace(stage, lr=1.0) if stage.lr == "find" else stage, steps=steps)
    if stage.lr == "find":
        del found["lr"]
    values = {name: [float(value(step)) for step in at] for name, value in found.items()}
    told = {name: each if len(set(each)) > 1 else each[:1] for name, each in values.items() if any(each)}
    return {"name": stage.name, "steps": steps, "at": at, "values": told}


def _expanded(told: dict) -> tuple[str, dict[str, np.ndarray]]:
    held = np.searchsorted(np.array(told["at"], int), np.arange(int(told["steps"])), side="right") - 1
    values = {str(name): np.array(each, float) for name, each in told["values"].items()}
    return str(told["name"]), {name: each[held if len(each) > 1 else held * 0] for name, each in values.items()}
