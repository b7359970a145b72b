"""The texts of a run's page: those that are wrong or doubtful, with the words that decided."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.files import npz
from tljax.report.pages.sections import small_print
from tljax.report.pages.text import escape
from tljax.report.stats import scores

FILE = "sentences.npz"
MOST = 400  # characters of a text that are shown
CLEAR = 0.1  # of the text's largest weight: words below it stay unmarked


@dataclass(frozen=True, eq=False)
class Sentences:
    """Hold texts that one run classified, the worst first, and the weight of each word.

    `counts` `[N]` are the words of each text; `firsts`, `lasts` and `weights` have those of all
    texts, one after another: first character, the one behind the last, and what speaks for the
    class that the network says. `probabilities` `[N, classes]`.
    """

    rung: np.ndarray
    seed: np.ndarray
    texts: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    losses: np.ndarray
    probabilities: np.ndarray
    classes: np.ndarray
    held_out: np.ndarray  # number of texts in validation
    counts: np.ndarray
    firsts: np.ndarray
    lasts: np.ndarray
    weights: np.ndarray


_KINDS = {
    "rung": "U0",
    "seed": "i0",
    "texts": "U1",
    "ids": "U1",
    "labels": "i1",
    "losses": "f1",
    "probabilities": "f2",
    "classes": "U1",
    "held_out": "i0",
    "counts": "i1",
    "firsts": "i1",
    "lasts": "i1",
    "weights": "f1",
}


def write(kept: Sentences, *, workdir: Path) -> Path:
    """Write `sentences.npz` in one piece, readable without pickle."""
    return npz.write(workdir / FILE, {each.name: getattr(kept, each.name) for each in fields(kept)})


def read(workdir: Path) -> Sentences | None:
    """Read `sentences.npz`; None for a run that kept none. InputError names a damaged file."""
    path = workdir / FILE
    if not path.is_file():
        return None
    arrays = npz.read(path, _KINDS)
    kept = Sentences(*(arrays[each.name] for each in fields(Sentences)))
    count, classes, words = len(kept.texts), len(kept.classes), len(kept.weights)
    fits = kept.probabilities.shape == (count, classes)
    fits = fits and all(len(x) == count for x in (kept.ids, kept.labels, kept.losses, kept.counts))
    fits = fits and len(kept.firsts) == len(kept.lasts) == words == kept.counts.sum()
    if not fits or not np.isin(kept.labels, range(classes)).all():
        raise InputError(f"{path}: expected ids, labels and words of {count} texts, found others")
    return kept


def section(kept: Sentences | None) -> list[str]:
    """Format the texts that are wrong or doubtful as HTML lines; empty where there are none."""
    if kept is None:
        return []
    chosen = scores.doubtful(kept.probabilities, kept.labels).tolist()
    ends = np.cumsum(kept.counts)
    run = f"{kept.rung}, seed {kept.seed}"
    note = (
        f"Of {int(kept.held_out):,} validation texts, worst first, by {run}. Marked are the words "
        "with the largest gradient times embedding: orange speaks for what the network says, "
        "blue against it."
    )
    if not chosen:
        sure = f"each with {100 * scores.SURE:.0f} % or more"
        note = f"None: all {int(kept.held_out):,} validation texts are right, {sure}, by {run}."
    rows = []
    for i in chosen:
        words = slice(int(ends[i] - kept.counts[i]), int(ends[i]))
        said, truth = int(kept.probabilities[i].argmax()), int(kept.labels[i])
        sure = f"{100 * kept.probabilities[i, said]:.0f} %"
        answer = f"<b>{escape(str(kept.classes[said]))} {sure}</b>, "
        answer += f"is {escape(str(kept.classes[truth]))}; loss {kept.losses[i]:.2f}"
        spans = zip(kept.firsts[words], kept.lasts[words], kept.weights[words], strict=True)
        mark = "" if said == truth else ' class="wrong"'
        shown = _marked(str(kept.texts[i]), spans)
        rows.append(f'<tr{mark} title="{escape(str(kept.ids[i]))}"><td>{shown}</td>')
        rows.append(f'<td data-label="says">{answer}</td></tr>')
    table = ['<table class="texts">', *rows, "</table>"] if rows else []
    return ["<h2>Wrong or doubtful</h2>", small_print(note), *table]


def _marked(text: str, words: Iterable[tuple[int, int, float]]) -> str:
    """Mark the words of a text by weight, as HTML; a long text is cut."""
    spans = [word for word in words if 0 <= word[0] < word[1] <= min(len(text), MOST)]
    largest = max((abs(float(weight)) for *_, weight in spans), default=0.0)
    parts, done = [], 0
    for first, last, weight in spans:
        share = abs(float(weight)) / largest if largest else 0.0
        if first < done or share < CLEAR:
            continue
        colour = "213,94,0" if weight > 0 else "0,114,178"  # Okabe and Ito's
        style = f"background:rgba({colour},{0.6 * share:.2f})"
        parts.append(escape(text[done:first]))
        parts.append(f'<span style="{style}">{escape(text[first:last])}</span>')
        done = last
    rest = text[done:MOST] if done < MOST else ""
    return "".join([*parts, escape(rest), " ..." if len(text) > MOST else ""])
