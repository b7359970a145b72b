"""schedules.json: the planned hyperparameters of a run's stages, written when it begins."""

# pyright: strict

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from tljax.config import Stage
from tljax.errors import InputError
from tljax.files import disk
from tljax.files.disk import Json
from tljax.runs.results import read_json, typed
from tljax.train.segments import hyperparameters

# name, and hyperparameter -> its value at each step
Stages = Sequence[tuple[str, Mapping[str, np.ndarray]]]

FILE = "schedules.json"
POINTS = 400  # of a stage at most: a pixel of the picture each


def write_planned(stages: Iterable[Stage], *, images: int, workdir: Path) -> Path:
    """Write schedules.json: each stage's hyperparameters at steps evenly through it.

    `images` is the number of training images. Hyperparameters that stay 0 or that the stage does
    not use are left out; so are the rate of a stage whose range test has yet to find it, and a
    stage that is solved without steps.
    """
    records = [_stage(stage, images) for stage in stages if stage.solver == "steps"]
    return disk.write_json(workdir / FILE, {"stages": records})


def read_planned(workdir: Path) -> Stages:
    """Read schedules.json; each value is held until the next recorded step.

    Empty for runs made before this file existed. InputError if malformed.
    """
    path = workdir / FILE
    if not path.is_file():
        return []
    stages = cast(list[Json], typed(read_json(path), "stages", list, str(path)))
    try:
        return [_expanded(record) for record in stages]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: expected stages with steps and values, found {error!r}"
        ) from None


def solved(plan: Json) -> set[str]:
    """Name the rungs of config.json's plan that are solved, without steps or epochs."""
    return {name for name in plan if _part(_part(plan, name), "stage").get("solver") == "lbfgs"}


def _part(of: Json, name: str) -> Json:
    """Return an object within an object, empty where it is anything else."""
    part = of.get(name)
    return cast(Json, part) if isinstance(part, dict) else {}


def _stage(stage: Stage, images: int) -> Json:
    steps = stage.epochs * stage.steps_per_epoch(images)
    recorded = np.unique(np.linspace(0, steps - 1, min(steps, POINTS)).round().astype(int)).tolist()
    plan = hyperparameters(replace(stage, lr=1.0) if stage.lr == "find" else stage, steps=steps)
    unused = {
        "lr": stage.lr == "find",
        "momentum": stage.optimizer.name == "rmsprop",  # which has none
        "augment": stage.augment is None,
    }
    plan = {name: value for name, value in plan.items() if not unused.get(name)}
    values = {name: [float(value(step)) for step in recorded] for name, value in plan.items()}
    used = {name: each for name, each in values.items() if any(each)}
    varied = {name: each if len(set(each)) > 1 else each[:1] for name, each in used.items()}
    return {"name": stage.name, "steps": steps, "at": recorded, "values": varied}


def _expanded(record: Json) -> tuple[str, dict[str, np.ndarray]]:
    every = np.arange(int(record["steps"]))
    place = np.searchsorted(np.array(record["at"], int), every, side="right") - 1
    values = {str(name): np.array(each, float) for name, each in record["values"].items()}
    return str(record["name"]), {
        name: each[place if len(each) > 1 else place * 0] for name, each in values.items()
    }
