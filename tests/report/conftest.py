"""Runs that were never trained: metrics, results and predictions as one would write them."""

import json
from pathlib import Path

import numpy as np
import pytest

from tljax.data.sources import ImageSet
from tljax.report import records
from tljax.report.predictions import Predictions
from tljax.train import predictions as kept


@pytest.fixture
def read(tmp_path):
    def read(*lines: str) -> dict:
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(text + "\n" for text in lines))
        return records.read_metrics(path)

    return read


@pytest.fixture
def labels():
    return np.array([0, 0, 1, 1, 2, 2, 2, 1, 0, 2])


@pytest.fixture
def probabilities():
    """Ten images of three classes, with ties."""
    tenths = [721, 343, 181, 532, 226, 163, 217, 253, 433, 334]
    return np.array([[int(digit) / 10 for digit in str(three)] for three in tenths])


@pytest.fixture
def said():
    def said(right, *, labels=None, seeds=(0,)) -> Predictions:
        """Two classes; `right` [S, N] says which images each run classifies correctly."""
        right = np.atleast_2d(np.asarray(right, bool))
        labels = np.zeros(right.shape[1], np.int32) if labels is None else np.asarray(labels, np.int32)
        logits = np.eye(2)[np.where(right, labels, 1 - labels)]
        return Predictions(tuple(seeds), logits, labels, tuple(map(str, range(len(labels)))), ("cat", "dog"))

    return said


@pytest.fixture
def write():
    def write(
        workdir: Path,
        *,
        classes=("cat", "dog"),
        images=40,
        rungs=("scratch", "frozen"),
        seeds=(0, 5),
        splits=("validation",),
    ):
        """A whole run: each later rung is better than the one before."""
        rng = np.random.default_rng(0)
        outputs = 1 if len(classes) == 2 else len(classes)
        rows = []
        for quality, name in enumerate(rungs):
            for seed in seeds:
                pairs = {}
                for split in splits:
                    labels = np.arange(images, dtype=np.int32) % len(classes)
                    toward = labels[:, None] * 2 - 1 if outputs == 1 else np.eye(outputs)[labels]
                    logits = (rng.normal(size=(images, outputs)) + (0.5 + 1.5 * quality) * toward).astype(np.float32)
                    pairs[split] = logits, labels
                    ids = tuple(f"{split}/{i}" for i in range(images))
                    path = workdir / "predictions" / f"{name}-seed{seed}{'.test' if split == 'test' else ''}.npz"
                    kept.write(path, logits, split=ImageSet(logits, labels, ids), classes=classes, digest="abc123")
                rows.append(_row(name, seed, **pairs))
        data = {"source": "critters", "digest": "abc123", "classes": classes}
        (workdir / "results.json").write_text(json.dumps({"data": data, "rungs": rows}))
        (workdir / "config.json").write_text("{}")
        scores = {"loss": 0.5, "accuracy": 0.75}
        lines = [
            {"rung": r["name"], "seed": r["seed"], "epoch": 1, "train": scores, "validation": scores} for r in rows
        ]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    return write


def _row(name, seed, **splits) -> dict:
    """A row of results.json, with the accuracy of each split's logits."""
    numbers = {"epochs": 2, "trainable_params": 7, "total_params": 9, "seconds": 4.0, "images_per_second": 100.0}
    scores = {split: kept.scores(*pair) for split, pair in splits.items()}
    return {"name": name, "seed": seed, **scores, **numbers}
