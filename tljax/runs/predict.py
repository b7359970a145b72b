"""Load the classifier that a run has trained, or that `Trained.save` wrote."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import math
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import jax.numpy as jnp
import numpy as np

from tljax.data.preprocess import from_dict
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.files.disk import Json
from tljax.files.home import at_home
from tljax.inside.net import Net
from tljax.linear.logistic import Solution
from tljax.models import build
from tljax.runs import metrics, predictions, results
from tljax.runs.results import number, read_results
from tljax.runs.saved_network import described, refuse_other
from tljax.tasks import marks
from tljax.tasks.known import of_results
from tljax.tasks.multilabel import Multilabel
from tljax.tasks.task import Task, unknown
from tljax.train.loop import History
from tljax.train.outcome.alarms import Alarm
from tljax.train.outcome.collapse import Collapse
from tljax.train.outcome.reading import read_photos
from tljax.train.outcome.trained import MEASURES, Trained
from tljax.train.step import State

__all__ = ["Trained", "load_net", "load_run", "read_photos"]
Row = Json  # of results.json
T = TypeVar("T")


def load_run(run: str | Path, *, rung: str | None = None, seed: int | None = None) -> Trained:
    """Load the rung and seed asked for, else those with the best validation score.

    With its history and scores; its state has no optimizer's. InputError where there is none, or
    its files are damaged.
    """
    run = at_home(run)
    row = _chosen(run, rung=rung, seed=seed)
    name = f"{row['name']}-seed{row['seed']}"
    if "\0" in name or Path(name).name != name:
        raise InputError(f"{run}: expected the name of a rung in results.json, found {name[:80]!r}")
    folder = run / "checkpoints" / name
    best = orbax_store.best_step(folder)
    step = orbax_store.latest_step(folder) if best is None else best  # the last, where all are NaN
    if step is None:
        raise InputError(f"{folder}: expected the checkpoint of a finished rung, found none")
    variables, meta = orbax_store.restore_variables(folder, step)
    factors = variables.pop("factors", {})
    saved = described(meta, where=folder)
    try:
        preprocess = from_dict(meta["preprocess"])
    except InputError as error:
        raise InputError(f"{folder}: meta: {error}") from None
    module = build.classifier(saved.network, task=saved.task, classes=len(saved.classes))
    refuse_other(variables, module, like=saved.spec, where=folder)
    params = variables.pop("params")
    return Trained(
        State(jnp.int32(step), params, variables, {}, factors=factors),
        _history(run, row, step=step, task=saved.task),
        saved.network,
        preprocess,
        row["trainable_params"],
        row["total_params"],
        classes=saved.classes,
        size=saved.size,
        rung=row["name"],
        seed=row["seed"],
        scores={split: row[split] for split in ("validation", "test") if split in row},
        stage=cast(Json, stage) if isinstance(stage := meta.get("stage"), dict) else {},
        data=str(meta.get("data", "")),
        solution=_made(Solution, _solved(row)),
        alarm=_made(Alarm, row.get("alarm")),
        task=saved.task,
    )


def load_net(run: str | Path, *, rung: str | None = None, seed: int | None = None) -> Net:
    """Load the network itself, to be looked into; chosen like that of `load_run`."""
    return load_run(run, rung=rung, seed=seed).net


def fitted_thresholds(run: str | Path, trained: Trained) -> tuple[float, ...]:
    """Fit the probability above which each label is given, for the highest F1 on validation.

    Of the rung and seed that was loaded from the run; a label that no validation example has keeps
    the task's own. "F1 fitted" in results.json is what such thresholds give on examples that they
    were not fitted on. InputError for another task, and for a run that kept no predictions.
    """
    run, task = at_home(run), trained.task
    if not isinstance(task, Multilabel):
        raise InputError(f"{run}: expected a run of several labels, found one of {task.name}")
    kept = predictions.read(run, read_results(run / results.FILE)).get(trained.rung)
    if kept is None:
        raise InputError(f"{run}: expected {predictions.FOLDER}/ of {trained.rung}, found none")
    cuts = marks.thresholds(kept.kept[kept.seeds.index(trained.seed)], kept.labels)
    own = np.broadcast_to(task.thresholds, len(cuts))
    return tuple(np.where(np.isfinite(cuts), 1 / (1 + np.exp(-cuts)), own).tolist())


def _chosen(run: Path, *, rung: str | None, seed: int | None) -> Row:
    written = read_results(run / results.FILE)
    finished = written["rungs"]
    rows = [row for row in finished if rung in (None, row["name"]) and seed in (None, row["seed"])]
    if not rows:
        named = (("rung", rung), ("seed", seed))
        words = [f"{name} {value}" for name, value in named if value is not None]
        asked = ", ".join(words) or "rung"
        there = ", ".join(f"{row['name']} (seed {row['seed']})" for row in finished) or "none"
        raise InputError(f"{run}: expected a finished {asked}, found {there} in results.json")
    return best_row({**written, "rungs": rows})


def best_row(written: Json, *, rung: str | None = None) -> Row:
    """Return the row with the best validation score, of one rung or of all."""
    rows = [row for row in written["rungs"] if rung in (None, row["name"])]
    measure = of_results(written).measures[0]

    def rank(row: Row) -> float:
        """Rank NaN last: it compares with nothing, and `max` would keep one that comes first."""
        value = row["validation"][measure.name]
        return -math.inf if math.isnan(value) else value if measure.higher else -value

    return max(rows, key=rank)


def _history(run: Path, row: Row, *, step: int, task: Task) -> History:
    """Read its epochs; of a run without metrics.jsonl only the one whose state was kept."""
    path, where = run / metrics.FILE, f"{run / results.FILE}: {row['name']}"
    rung, seed, last = row["name"], row["seed"], row["epochs"]
    epochs = metrics.read_records(path, rung=rung, seed=seed) if path.exists() else []
    if not any(record["epoch"] == last for record in epochs):
        named = {"rung": rung, "seed": seed, "epoch": last, "step": step}
        epochs = [{**named, "train": unknown(task), "validation": row["validation"]}]
    kept = last if epochs[-1]["epoch"] != last else None
    history = History(epochs, kept, _made(Collapse, row.get("collapsed")), task=task)
    for name in MEASURES:
        if name in row:
            setattr(history, name, number(row, name, where))
    return history


def _solved(row: Row) -> Row | None:
    """Gather what a row has of a stage that was solved, which `Solution.to_dict` spread in it."""
    scores = row.get("cross_validation")
    if not isinstance(scores, dict):
        return None
    return {**cast(Json, scores), "strength": row.get("strength")}


def _made(kind: type[T], record: object) -> T | None:
    """Rebuild a dataclass from the JSON a run wrote of it; None where it wrote none."""
    known = fields(kind)  # pyright: ignore[reportArgumentType]
    if not isinstance(record, dict):
        return None
    values = cast(Json, record)
    if any(each.name not in values and each.default is MISSING for each in known):
        return None  # one with a default was not written by an earlier version
    return kind(**{each.name: _tuple(values[each.name]) for each in known if each.name in values})


def _tuple(value: Any) -> Any:
    return tuple(cast(list[Any], value)) if isinstance(value, list) else value
