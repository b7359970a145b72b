"""Three linear heads on one frozen base: on its last layer, on all layers, and on a selection."""

# pyright: strict
# pyright: reportUnknownMemberType=false

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tljax import waiting
from tljax.data.examples import Part
from tljax.data.splits import few
from tljax.errors import InputError
from tljax.inputs.activations import default_folder
from tljax.inputs.prefix import Prefix
from tljax.linear.logistic import fit_logistic
from tljax.methods import head2toe
from tljax.methods.pooled import PER_LAYER, Features, Pooled
from tljax.models.build import Network, base_of, described
from tljax.models.heads import rms_norm
from tljax.tasks.classification import predicted_classes
from tljax.train.source import Source
from tljax.tree import Json

LAST, ALL, SELECTED = "last layer", "all layers", "head2toe"


@dataclass(frozen=True)
class Probe:
    """A linear head on some of the columns of the features that it reads.

    `said` is how it was chosen, in plain JSON.
    """

    places: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    seconds: float
    said: Json

    @property
    def parameters(self) -> int:
        """Count the numbers of the head."""
        return self.kernel.size + self.bias.size

    def predicted(self, rows: np.ndarray) -> np.ndarray:
        """Classify rows with all columns: `[N]`."""
        return predicted_classes(rows[:, self.places] @ self.kernel + self.bias)

    def to_dict(self) -> Json:
        """Describe the head in plain JSON."""
        counts = {"features": len(self.places), "parameters": self.parameters}
        return {**counts, "seconds": self.seconds, **self.said}


class Probes:
    """The features of a data set through one base, and heads on them.

    `norm` divides the last layer's by their root mean square, as the rung linear does. InputError
    for a base without layers, and without weights.
    """

    def __init__(
        self, source: Source, *, norm: bool, most: int = PER_LAYER, store: Path | None = None
    ) -> None:
        if source.weights is None:
            raise InputError("head2toe: expected a pretrained base, found none")
        network = Network(*described(source.weights.architecture, source=source.weights.source))
        prefix = Prefix(
            network.architecture,
            base_of(network, dtype=source.dtype),
            source.weights.variables,
            network.architecture.names[-1],
            source.weights.preprocess,
            augment=None,
            views=1,
        )
        self._sets, self._norm, self._progress = source.sets, norm, source.progress
        self._store = store or default_folder()
        self.pooled = Pooled(prefix, source.sets.spec, most=most, progress=source.progress)
        began = time.perf_counter()
        self._train = self.pooled.split(source.sets, "train", self._store)
        self.seconds = time.perf_counter() - began  # for the features of the training examples

    def solved(self, *, seed: int, draw: int | None = None) -> dict[str, Probe]:
        """Solve for the three heads, on all training examples or those that the seed draws.

        InputError for fewer than one of each class, or more than there are.
        """
        labels, ids = np.asarray(self._sets.train.labels), self._sets.train.ids
        least, most = len(self._sets.classes), len(labels)
        if draw is not None and not least <= draw <= most:
            expected = f"{least} (one of each class) to {most:,} training examples"
            raise InputError(f"head2toe: expected {expected}, found {draw} to be drawn")
        drawn = np.arange(most) if draw is None else few(labels, ids, draw, seed=seed)
        rows, labels = self._rows(self._train.of(drawn)), labels[drawn]
        whole = {way: self._whole(rows[way], labels, seed=seed) for way in (LAST, ALL)}
        return {**whole, SELECTED: self._selected(rows[SELECTED], labels, seed=seed)}

    def _whole(self, rows: np.ndarray, labels: np.ndarray, *, seed: int) -> Probe:
        began = time.perf_counter()
        classes = len(self._sets.classes)
        kernel, bias, found = fit_logistic(rows, labels, classes=classes, seed=seed)
        said = {"strength": found.strength, "held_out": found.held_out()}
        return Probe(np.arange(len(kernel)), kernel, bias, time.perf_counter() - began, said)

    def _selected(self, rows: np.ndarray, labels: np.ndarray, *, seed: int) -> Probe:
        began, classes = time.perf_counter(), len(self._sets.classes)
        count, what = len(head2toe.SHARES), f"head2toe, seed {seed}"
        with waiting.bar(count, what, unit="strengths", shown=self._progress) as bar:
            found = head2toe.fit(rows, labels, classes=classes, seed=seed, on_share=bar.update)
        said = {
            "share": found.share,
            "fraction": found.fraction,
            "strength": found.strength,
            "held_out": dict(found.held_out),
        }
        seconds = time.perf_counter() - began
        return Probe(found.places, found.kernel, found.bias, seconds, said)

    def right(
        self, heads: list[dict[str, Probe]], conditions: Iterable[tuple[str, Part]]
    ) -> dict[str, Mapping[str, np.ndarray]]:
        """Judge heads of several seeds in each condition: way -> condition -> bool `[S, N]`."""
        found: dict[str, dict[str, np.ndarray]] = {way: {} for way in heads[0]}
        for condition, part in conditions:
            rows = self._rows(self._held_out(condition, part))
            for way, of in found.items():
                each = [seed[way].predicted(rows[way]) == part.labels for seed in heads]
                of[condition] = np.stack(each)
        return {**found}

    def _held_out(self, condition: str, part: Part) -> Features:
        for name, whole in self._sets.splits.items():
            if part is whole:
                return self.pooled.split(self._sets, name, self._store)
        return self.pooled.features(part.inputs, condition)

    def _rows(self, features: Features) -> dict[str, np.ndarray]:
        """Return what each way reads, `[N, D]`."""
        last = np.asarray(rms_norm(jnp.asarray(features.last))) if self._norm else features.last
        layers = head2toe.unit(features.layers, features.widths)
        return {LAST: last, ALL: layers, SELECTED: layers}
