"""A strict session: eight simulated devices, warnings are errors (see pyproject.toml)."""

import os
import pathlib

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ.setdefault("KERAS_BACKEND", "jax")

import json
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from tljax.data.sources import ImageSet
from tljax.runs import metrics, predictions
from tljax.tasks.classification import CLASSIFICATION

matplotlib.use("Agg")

REAL_IMAGES = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_images() -> pathlib.Path:
    """Folder of real photographs beside the checkout;
    tests that want it are skipped where it is absent.
    """
    if not REAL_IMAGES.is_dir():
        pytest.skip(f"no real photographs at {REAL_IMAGES}")
    return REAL_IMAGES


@pytest.fixture(scope="session")
def in_a_hurry():
    """Compiler options: compiling takes most of the time here, and a ladder is a dozen programs."""
    return lambda: {"xla_backend_optimization_level": 0}


@pytest.fixture
def read(tmp_path):
    def read(*lines: str) -> dict:
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(text + "\n" for text in lines))
        return metrics.read_metrics(path)

    return read


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
                    logits = (
                        rng.normal(size=(images, outputs)) + (0.5 + 1.5 * quality) * toward
                    ).astype(np.float32)
                    pairs[split] = logits, labels
                    ids = tuple(f"{split}/{i}" for i in range(images))
                    path = (
                        workdir
                        / "predictions"
                        / f"{name}-seed{seed}{'.test' if split == 'test' else ''}.npz"
                    )
                    predictions.write(
                        path,
                        logits,
                        split=ImageSet(np.zeros((images, 1, 1, 3), np.uint8), labels, ids),
                        classes=classes,
                        digest="abc123",
                    )
                rows.append(_row(name, seed, **pairs))
        data = {"source": "critters", "digest": "abc123", "classes": classes}
        (workdir / "results.json").write_text(json.dumps({"data": data, "rungs": rows}))
        (workdir / "config.json").write_text("{}")
        scores = {"loss": 0.5, "accuracy": 0.75}
        lines = [
            {
                "rung": r["name"],
                "seed": r["seed"],
                "epoch": 1,
                "train": scores,
                "validation": scores,
            }
            for r in rows
        ]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    return write


def _row(name, seed, **splits) -> dict:
    """A row of results.json, with the accuracy of each split's logits."""
    numbers = {
        "epochs": 2,
        "trainable_params": 7,
        "total_params": 9,
        "seconds": 4.0,
        "images_per_second": 100.0,
    }
    scores = {split: CLASSIFICATION.judged(*pair) for split, pair in splits.items()}
    return {"name": name, "seed": seed, **scores, **numbers}
