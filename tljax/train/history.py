"""The history of a stage: a record for each epoch, and its costs."""

# pyright: strict

import math
from collections.abc import Callable
from dataclasses import dataclass, field

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
        told = f"validation loss {scores['loss']:.3f}, accuracy {100 * scores['accuracy']:.1f} %"
        return f"History({len(trained(self.epochs))} epochs{kept}: {told})"

    def _repr_html_(self) -> str:
        return self.table()

    def table(self) -> str:
        """Format the epochs as an HTML table, which a notebook shows."""
        head = "".join(f"<th>{name}</th>" for name in ("epoch", *_COLUMNS))
        rows = "".join(
            f"<tr><td>{record['epoch']}</td>{_cells(record)}</tr>" for record in self.epochs
        )
        return f"<table><tr>{head}</tr>{rows}</table>"


_COLUMNS = {
    "training loss": ("train", "loss"),
    "training accuracy": ("train", "accuracy"),
    "validation loss": ("validation", "loss"),
    "validation accuracy": ("validation", "accuracy"),
}


def _cells(record: Record) -> str:
    values = {name: record[split][metric] for name, (split, metric) in _COLUMNS.items()}
    texts = [f"{100 * x:.1f} %" if "accuracy" in name else f"{x:.3f}" for name, x in values.items()]
    known = ["" if math.isnan(x) else text for x, text in zip(values.values(), texts, strict=True)]
    return "".join(f"<td>{text}</td>" for text in known)


def start_of(rung: str, *, seed: int, validation: dict[str, float], seconds: float) -> Record:
    """Make the record of epoch 0: nothing was trained, at no rate."""
    return {
        "rung": rung,
        "seed": seed,
        "epoch": 0,
        "step": 0,
        "train": {"loss": math.nan, "accuracy": math.nan},
        "validation": validation,
        "rates": {},
        "seconds": seconds,
    }


def trained(epochs: list[Record]) -> list[Record]:
    """Return the records without that of epoch 0."""
    return [record for record in epochs if record["epoch"] > 0]


def ignore(record: Record, state: State) -> None:
    """Do nothing at the end of an epoch."""
