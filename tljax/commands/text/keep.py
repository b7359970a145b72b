"""The texts for the page of a run, chosen when it ends: the worst, with the words behind them."""

from pathlib import Path

import jax
import numpy as np

from tljax.data.text.sets import TextSets
from tljax.inside import words
from tljax.report.pages import sentences
from tljax.report.tables import paired
from tljax.runs import predictions
from tljax.runs.predict import load_net
from tljax.runs.predictions import softmax
from tljax.runs.results import read_results

WORST = 24


def keep(workdir: Path, sets: TextSets) -> Path | None:
    """Write `sentences.npz` for the best rung in validation and its best seed.

    None where no rung can be judged, and where several processes train: one of them cannot run the
    network alone.
    """
    results = read_results(workdir / "results.json")
    predicted = predictions.read(workdir, results)
    if not predicted or jax.process_count() > 1:
        return None
    net = load_net(workdir, rung=paired.best_rung(results, predicted))
    of_run, split = predicted[net.rung], sets.validation
    logits = of_run.logits[of_run.seeds.index(net.seed)]
    likely = softmax(logits)
    losses = np.logaddexp.reduce(logits, axis=-1) - logits[np.arange(len(logits)), split.labels]
    worst = np.argsort(-losses, kind="stable")[:WORST]
    said = likely[worst].argmax(-1).astype(np.int32)
    weights = words.weights(net, split.inputs[worst], said)
    found = [
        words.words(split.texts[i], split.inputs[i], row, sets.vocabulary)
        for i, row in zip(worst, weights, strict=True)
    ]
    each = [word for row in found for word in row]
    kept = sentences.Sentences(
        rung=np.array(net.rung),
        seed=np.array(net.seed),
        texts=np.array([split.texts[i] for i in worst], dtype=np.str_),
        ids=np.array([split.ids[i] for i in worst], dtype=np.str_),
        labels=split.labels[worst],
        losses=losses[worst],
        probabilities=likely[worst],
        classes=np.array(net.classes, dtype=np.str_),
        held_out=np.array(len(split)),
        counts=np.array([len(row) for row in found], np.int32),
        firsts=np.array([word.first for word in each], np.int32),
        lasts=np.array([word.last for word in each], np.int32),
        weights=np.array([word.weight for word in each], np.float32),
    )
    return sentences.write(kept, workdir=workdir)
