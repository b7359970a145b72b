"""Epoch records as scalars for TensorBoard or Weights & Biases, both optional.

The run's own files need neither.
"""

# pyright: strict

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tljax.errors import InputError
from tljax.runs.metrics import RATE, SPLITS, Record
from tljax.runs.results import read_json


def scalars(record: Record) -> dict[str, float]:
    """Name a record's numbers as both trackers group them: 'loss/train', 'rate/head/.*', ..."""
    # Nothing is trained at the start.
    splits = [split for split in SPLITS if split != "train" or record["epoch"] > 0]
    values = {
        f"{name}/{split}": value
        for split in splits
        for name, value in record[split].items()
        if name != "n"
    }
    values |= {RATE + pattern: rate for pattern, rate in record.get("rates", {}).items()}
    others = ("grad_norm", "images_per_second")
    return values | {name: record[name] for name in others if name in record}


class TensorBoard:
    """Event files below `workdir/tensorboard`, a folder for each rung and seed.

    The step is the optimizer's. InputError where the package is not installed.
    """

    def __init__(self, workdir: Path) -> None:
        self._writers = _package(
            "tensorboard.summary.writer.event_file_writer", extra="tensorboard"
        )
        self._event = _package("tensorboard.compat.proto.event_pb2", extra="tensorboard").Event
        self._summary = _package(
            "tensorboard.compat.proto.summary_pb2", extra="tensorboard"
        ).Summary
        self._folder, self._name = workdir / "tensorboard", ""
        self._writer: Any = None

    def __call__(self, record: Record) -> None:
        name = _name(record)
        if self._writer is None or name != self._name:
            self.close()
            self._name, self._writer = name, self._writers.EventFileWriter(str(self._folder / name))
        values = [
            self._summary.Value(tag=tag, simple_value=value)
            for tag, value in scalars(record).items()
        ]
        summary = self._summary(value=values)
        self._writer.add_event(
            self._event(wall_time=time.time(), step=record["step"], summary=summary)
        )
        self._writer.flush()

    def close(self) -> None:
        """Close the current file, which stays; another record begins a new one."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


class WandB:
    """Runs in project "tljax", one per rung and seed, grouped by the workdir's name.

    WANDB_* variables apply. InputError where the package is not installed, or nobody is logged in
    and WANDB_MODE is not offline.
    """

    def __init__(self, workdir: Path) -> None:
        self._wandb = _package("wandb", extra="wandb")
        self._workdir, self._name = workdir, ""
        self._run: Any = None
        # Before hours of training, and not after the first epoch.
        if self._wandb.setup().settings.mode in ("online", "shared", "run"):
            self._one_line(self._wandb.login)

    def __call__(self, record: Record) -> None:
        name = _name(record)
        if self._run is None or name != self._name:
            self.close()
            self._name, self._run = name, self._one_line(lambda: self._begin(name, record))
        self._run.log(scalars(record) | {"epoch": record["epoch"]}, step=record["step"])

    def close(self) -> None:
        """Wait until everything is written or sent."""
        if self._run is not None:
            self._run.finish()
        self._run = None

    def _begin(self, name: str, record: Record) -> Any:
        file = self._workdir / "config.json"
        about = {
            "rung": record["rung"],
            "seed": record["seed"],
            **(read_json(file) if file.exists() else {}),
        }
        return self._wandb.init(
            project="tljax",
            group=self._workdir.name,
            job_type=record["rung"],
            name=name,
            dir=str(self._workdir),
            config=about,
            settings=self._wandb.Settings(console="off"),  # progress bars are no log
        )

    def _one_line(self, do: Callable[[], Any]) -> Any:
        try:
            return do()
        except self._wandb.errors.Error as error:
            fault = str(error).splitlines()[0].rstrip(".")
            advice = "WANDB_MODE=offline keeps the records here"
            raise InputError(f"--log wandb: {fault}; {advice}") from None


TRACKERS = {"tensorboard": TensorBoard, "wandb": WandB}


def _name(record: Record) -> str:
    return f"{record['rung']}-seed{record['seed']}"


def _package(name: str, *, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f'--log {extra}: {error}; pip install -e ".[{extra}]" brings what it needs'
        ) from None
