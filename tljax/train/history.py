"""The history of a stage: a record for each epoch, and its costs."""

# pyright: strict

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import Measure, Task
from tljax.train.outcome.collapse import Collapse, Record
from tljax.train.step import State

OnEpoch = Callable[[Record, State], None]


@dataclass(repr=False)
class History:
    """Hold a record of each epoch of a stage, from epoch 0 before any step on, and its costs."""

    epochs: list[Record] = field(default_factory=list[Record])
    kept: int | None = None  # epoch of the returned state, if the stage stepped back from the last
    collapsed: Collapse | None = None
    seconds: float = 0.0  # of `train_stage`; once the rung is done (`rung.trained`), of all of it
    features_seconds: float = 0.0  # making or reading activations of the frozen prefix
    compile_seconds: float = 0.0
    train_seconds: float = 0.0  # in compiled steps alone
    images_per_second: float = 0.0  # of training alone
    step_flops: float = 0.0  # of the products of one step, by formula
    temporary_bytes: float = math.nan  # of the compiled steps, without arguments and results
    task: Task = CLASSIFICATION

    def result(self) -> Record:
        """Return the record of the epoch whose state was returned."""
        return next(
            record for record in reversed(self.epochs) if self.kept in (None, record["epoch"])
        )

    def __repr__(self) -> str:
        if not self.epochs:
            return "History(no epochs)"
        end, kept = self.result(), "" if self.kept is None else f", back to epoch {self.kept}"
        scores = end["validation"]
        shown = [f"{each.name} {each.shown(scores[each.name])}" for each in self.task.measures[:1]]
        told = ", ".join([f"validation loss {scores['loss']:.3f}", *shown])
        return f"History({len(trained(self.epochs))} epochs{kept}: {told})"

    def _repr_html_(self) -> str:
        return self.table()

    def table(self) -> str:
        """Format the epochs as an HTML table, which a notebook shows."""
        measure = self.task.measures[0]
        columns = [
            f"{split} {name}" for split in _SPLITS.values() for name in ("loss", measure.name)
        ]
        head = "".join(f"<th>{name}</th>" for name in ("epoch", *columns))
        rows = "".join(
            f"<tr><td>{record['epoch']}</td>{_cells(record, measure)}</tr>"
            for record in self.epochs
        )
        return f"<table><tr>{head}</tr>{rows}</table>"


_SPLITS = {"train": "training", "validation": "validation"}


def _cells(record: Record, measure: Measure) -> str:
    texts: list[str] = []
    for split in _SPLITS:
        loss, score = record[split]["loss"], record[split][measure.name]
        texts += ["" if math.isnan(loss) else f"{loss:.3f}"]
        texts += ["" if math.isnan(score) else measure.shown(score)]
    return "".join(f"<td>{text}</td>" for text in texts)


def start_of(
    rung: str,
    *,
    seed: int,
    nothing: dict[str, float],
    validation: dict[str, float],
    seconds: float,
) -> Record:
    """Make the record of epoch 0: nothing was trained, at no rate.

    `nothing` are the scores of training where there are none (`tasks.task.unknown`).
    """
    return {
        "rung": rung,
        "seed": seed,
        "epoch": 0,
        "step": 0,
        "train": nothing,
        "validation": validation,
        "rates": {},
        "seconds": seconds,
    }


def trained(epochs: list[Record]) -> list[Record]:
    """Return the records without that of epoch 0."""
    return [record for record in epochs if record["epoch"] > 0]


def ignore(record: Record, state: State) -> None:
    """Do nothing at the end of an epoch."""
