"""The photographs for a run's page, chosen when it ends: the worst mistakes, some with maps."""

from pathlib import Path

import jax
import numpy as np

from tljax.data import ImageSets
from tljax.inside import attribution
from tljax.report.inside import sheets
from tljax.report.pages import mask_images, photographs, told
from tljax.report.tables import paired
from tljax.runs import predictions
from tljax.runs.predict import best_row, load_net
from tljax.runs.predictions import Predictions, softmax
from tljax.runs.results import read_results
from tljax.tasks.multilabel import Multilabel
from tljax.tasks.regression import Regression

WORST, SEEN = 18, 6


def keep(workdir: Path, sets: ImageSets) -> Path | None:
    """Write `photographs.npz` for the best rung in validation and its best seed.

    None where no rung can be judged, and where several processes train: one of them cannot run the
    network alone.
    """
    if sets.task.dense:
        return mask_images.keep(workdir, sets) if jax.process_count() == 1 else None
    results = read_results(workdir / "results.json")
    predicted = predictions.read(workdir, results)
    if not predicted or jax.process_count() > 1:
        return None
    if isinstance(sets.task, Multilabel | Regression):
        best = paired.best_rung(results, predicted)
        seed = best_row(results, rung=best)["seed"]
        shown = told.chosen(sets.validation.images, predicted[best], rung=best, seed=seed)
        return told.write(shown, workdir=workdir)
    net = load_net(workdir, rung=paired.best_rung(results, predicted))
    split, logits, likely = sets.validation, *_of_run(predicted[net.rung], net.seed)
    losses = np.logaddexp.reduce(logits, axis=-1) - logits[np.arange(len(logits)), split.labels]
    worst = np.argsort(-losses, kind="stable")[:WORST]
    seen = np.unique(np.linspace(0, len(split.labels) - 1, SEEN).round().astype(int))
    layer = sheets.cam_layer(net)
    order = np.argsort(-likely[seen], axis=1, kind="stable")[:, :2]
    maps = [
        attribution.hires_cam(net, split.images[seen], order[:, i], layer=layer)
        for i in range(order.shape[1])
    ]
    ids = np.array(split.ids, dtype=np.str_)
    shown = photographs.Photographs(
        rung=net.rung,
        seed=net.seed,
        layer=f"HiResCAM of {layer}",
        images=len(split.labels),
        classes=np.array(net.classes, dtype=np.str_),
        worst=photographs.small(split.images[worst]),
        worst_ids=ids[worst],
        worst_labels=split.labels[worst],
        worst_losses=losses[worst],
        worst_probabilities=likely[worst],
        seen=photographs.small(split.images[seen]),
        seen_ids=ids[seen],
        seen_labels=split.labels[seen],
        seen_probabilities=likely[seen],
        maps=np.stack(maps, axis=1),
    )
    return photographs.write(shown, workdir=workdir)


def _of_run(predicted: Predictions, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (logits, probabilities) `[N, classes]` of one seed."""
    logits = predicted.logits[predicted.seeds.index(seed)]
    return logits, softmax(logits)
