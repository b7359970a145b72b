"""The images of masks for a run's page, chosen when it ends: the worst, and some evenly."""

from pathlib import Path

import numpy as np

from tljax.data import ImageSets
from tljax.report.pages import masks as page
from tljax.report.stats import masks as stats
from tljax.report.tables import paired
from tljax.runs import predictions
from tljax.runs.predict import load_run
from tljax.runs.results import read_results
from tljax.train.outcome.masked import places_of

WORST, SEEN = 12, 6


def keep(workdir: Path, sets: ImageSets) -> Path | None:
    """Write `masks.npz` for the best rung in validation and its first seed.

    None where no rung can be judged.
    """
    results = read_results(workdir / "results.json")
    predicted = predictions.read(workdir, results)
    if not predicted:
        return None
    rung = paired.best_rung(results, predicted)
    seed, split = predicted[rung].seeds[0], sets.validation
    confusions = predicted[rung].figures["confusion"][0]
    order, means = stats.worst(confusions)
    evenly = np.linspace(0, len(split) - 1, SEEN).round().astype(int)
    chosen = np.concatenate([order[:WORST], evenly])
    trained = load_run(workdir, rung=rung, seed=seed)
    images = split.images[chosen]
    shown = page.Shown(
        rung=rung,
        seed=seed,
        images=len(split),
        classes=np.array(sets.classes, dtype=np.str_),
        worst=len(order[:WORST]),
        photographs=images,
        truths=split.labels[chosen],
        predictions=places_of(trained, images),
        ids=np.array(split.ids, dtype=np.str_)[chosen],
        ious=means[chosen],
    )
    return page.write(shown, workdir=workdir)
