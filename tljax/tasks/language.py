"""A language model: the next token at each place of a text."""

# pyright: strict
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from tljax.errors import InputError
from tljax.optim.objective import PLAIN, Objective
from tljax.tasks.task import Measure, Sums, Task


@dataclass(frozen=True)
class Language(Task):
    """Labels `[N, T]` int32, the token that follows each place, 0 where none does.

    Perplexity is e to the mean cross entropy of a token, in nats.
    """

    name: ClassVar[str] = "language"
    example: ClassVar[str] = "window"
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("perplexity", scale=1.0, unit="", digits=1, higher=False, share=False),
    )
    totals: ClassVar[tuple[str, ...]] = ("nats", "tokens")
    head: ClassVar[str] = "language"

    vocabulary: int = 4000  # tokens

    def label(self, *, classes: int, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of the label of one text: a token for each of its own."""
        del classes
        return jax.ShapeDtypeStruct(shape, jnp.int32)

    def checked(self, where: str, labels: np.ndarray, *, count: int) -> np.ndarray:
        """Return labels as int32; InputError unless they are tokens `[count, T]`."""
        found = np.asarray(labels)
        if found.dtype.kind not in "iu" or found.ndim != 2 or len(found) != count:
            expected = f"tokens [{count}, T]"
            raise InputError(
                f"{where}: labels: expected {expected}, found {found.dtype} {found.shape}"
            )
        return found.astype(np.int32, copy=False)

    def check(self, where: str, labels: np.ndarray, *, classes: int) -> None:
        """Check that every label is a token of the vocabulary; InputError names one that is not."""
        del classes
        if wrong := labels[(labels < 0) | (labels >= self.vocabulary)].tolist():
            raise InputError(
                f"{where}: labels: expected tokens below {self.vocabulary}, found {wrong[0]}"
            )

    def counts(self, labels: np.ndarray, *, classes: int) -> np.ndarray | None:
        """Return None: tokens are no classes that each split must have."""
        del labels, classes

    def outputs(self, classes: int) -> int:
        """Return the number of logits of a place: the tokens."""
        del classes
        return self.vocabulary

    def settled(self, objective: Objective, labels: np.ndarray, *, classes: int) -> Objective:
        """Return the objective; InputError for weights of classes, of which there are none."""
        del labels, classes
        if objective.class_weights is not None or objective.mixup:
            raise InputError("language: expected neither class weights nor mixup, found one")
        return objective

    def losses(self, logits: Array, label: Array, objective: Objective = PLAIN) -> Array:
        """Compute the mean cross entropy `[N]` of a text's tokens, from logits `[N, T, V]`."""
        figures = self._figures(logits, label, smoothing=objective.label_smoothing)
        return figures["nats"] / jnp.maximum(figures["tokens"], 1.0)

    def constant_loss(
        self, labels: np.ndarray, objective: Objective = PLAIN, *, classes: int
    ) -> float:
        """Compute the entropy of the tokens' frequencies, without smoothing."""
        del objective, classes
        return float(self.constant_losses(labels).mean())

    def figures(self, logits: Array, label: Array) -> dict[str, Array]:
        """Sum the cross entropies of each text and count its tokens: "nats", "tokens" `[N]`."""
        return self._figures(logits, label, smoothing=0.0)

    def _figures(self, logits: Array, label: Array, *, smoothing: float) -> dict[str, Array]:
        real = label != 0
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        if smoothing:
            even = jax.nn.logsumexp(logits, axis=-1) - logits.mean(-1)
            nats = (1 - smoothing) * nats + smoothing * even
        return {
            "nats": jnp.where(real, nats, 0.0).sum(-1),
            "tokens": real.sum(-1).astype(jnp.float32),
        }

    def scores(self, sums: Sums) -> dict[str, float]:
        """Compute the perplexity: e to the mean cross entropy of all tokens."""
        return {"perplexity": float(np.exp(float(sums["nats"]) / float(sums["tokens"])))}

    def answers(self, logits: Array) -> Array:
        """Pick the likeliest token of each place."""
        return logits.argmax(-1).astype(jnp.int32)

    def kept(self, logits: Array, label: Array) -> Array:
        """Keep cross entropy and number of tokens `[N, 2]` of each text, and no logits."""
        figures = self.figures(logits, label)
        return jnp.stack([figures["nats"], figures["tokens"]], axis=-1)

    def check_kept(self, where: str, kept: np.ndarray, *, classes: int) -> None:
        """Check the shape of what was kept; InputError, beginning with `where`, for another."""
        del classes
        if kept.shape[1:] != (2,):
            raise InputError(f"{where}: expected figures of shape (2,), found {kept.shape[1:]}")

    def kept_losses(self, kept: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Compute the mean cross entropy `[N]` of each text's tokens."""
        del labels
        return kept[:, 0].astype(np.float64) / np.maximum(kept[:, 1], 1.0)

    def kept_figures(self, kept: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return cross entropy and number of tokens `[N]` of each text."""
        del labels
        return {"nats": kept[:, 0], "tokens": kept[:, 1]}

    def constant_losses(self, labels: np.ndarray) -> np.ndarray:
        """Compute the losses `[N]` of answering the frequencies of the tokens."""
        counts = np.bincount(labels[labels != 0], minlength=self.vocabulary)
        nats = -np.log(np.maximum(counts, 1) / max(1, counts.sum()))
        each = np.where(labels != 0, nats[labels], 0.0).sum(-1)
        return each / np.maximum((labels != 0).sum(-1), 1)
