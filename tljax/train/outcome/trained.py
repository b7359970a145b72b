"""A trained classifier: it predicts, draws its history, and is saved to a folder of its own."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import functools
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, asdict, dataclass, field
from html import escape
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from tljax.data.photos import Size, across
from tljax.data.preprocess import Prepare, of_pixels
from tljax.data.text.vocabulary import Vocabulary
from tljax.errors import InputError
from tljax.files.home import at_home
from tljax.inside.net import Net
from tljax.linear.logistic import Solution
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.tasks.classification import CLASSIFICATION, Classification
from tljax.tasks.task import Task
from tljax.train import lr_finder
from tljax.train.loop import History
from tljax.train.outcome import alarms, saved
from tljax.train.outcome.collapse import Json
from tljax.train.outcome.prediction import Prediction, padded
from tljax.train.outcome.reading import Batch, Photographs, Reading, reading
from tljax.train.outcome.reading_texts import reading_texts
from tljax.train.outcome.telling import together, told
from tljax.train.outcome.viewed import mean_over_views, ranges_of
from tljax.train.step import Params, State, averaged

Scores = dict[str, dict[str, float]]
MOST_NAMED = 12  # classes; of more, only their number

MEASURES = (  # of a history, in results.json
    "seconds",
    "features_seconds",
    "compile_seconds",
    "train_seconds",
    "images_per_second",
    "step_flops",
    "temporary_bytes",
)


@dataclass(frozen=True, eq=False, repr=False)
class Trained:
    """Hold a trained classifier with its history.

    `fine_tune`, `train_plan`, a rung and `load_run` return one. Call it on photographs for
    probabilities float32 `[N, classes]`; one of another task gives what that predicts.
    """

    state: State
    history: History
    network: Network
    preprocess: Prepare
    trainable_params: int
    total_params: int
    # By held-out split, [N, outputs] float32; a loaded one has none.
    logits: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    _: KW_ONLY
    classes: tuple[str, ...]  # in the order of the labels
    size: Size  # pixels of a side of the images; height and width of others
    rung: str  # or stage, by name
    seed: int
    # By held-out split: the task's measures, loss and n.
    scores: Scores = field(default_factory=Scores)
    stage: Json = field(default_factory=Json)  # its settings
    data: str = ""  # digest of the data set
    restored: bool = False  # from its checkpoint, not trained just now: without a history
    finding: lr_finder.Finding | None = None  # the range test that gave the rate, with `lr="find"`
    solution: Solution | None = None  # of a stage that was solved
    files: tuple[Path, ...] = ()  # of the activations that it was trained from
    alarm: alarms.Alarm | None = None  # what is wrong with it on the validation images
    task: Task = CLASSIFICATION

    def __call__(self, photographs: Photographs) -> np.ndarray:
        """Give the probabilities `[N, classes]` of what `predict` takes, or its numbers."""
        return self.predict(photographs).values

    def predict(
        self, photographs: Photographs, *, skip_unread: bool = False, views: int = 0
    ) -> Prediction:
        """Classify one photograph or many: paths, folders, patterns, Pillow images or arrays.

        Arrays are uint8, `[H, W, 3]` or `[N, size, size, 3]`. Everything is resized as for
        training. Averaged parameters and batch statistics are used where there are any. InputError
        names a file that cannot be read; with `skip_unread` it is left out, and why is kept. With
        `views` the logits are the mean over as many augmented views, the same ones each time.
        """
        read = self.reading(photographs)
        parts = list(self.stream(read, skip_unread=skip_unread, views=views))
        none = np.zeros((0, self.task.outputs(len(self.classes))), np.float32)
        return together(parts, told(self.task, self.classes, names=(), logits=none, unread={}))

    def reading(self, given: Photographs) -> Reading:
        """Name photographs, or texts, and say how each is read, as for training."""
        if isinstance(self.preprocess, Vocabulary):
            assert isinstance(self.size, int)  # a pair is of an image
            return reading_texts(given, vocabulary=self.preprocess, size=self.size)
        return reading(given, size=self.size)

    @property
    def about(self) -> str:
        """Say what the examples are: "images of 48 x 48", or "texts of 32 tokens"."""
        words = isinstance(self.preprocess, Vocabulary)
        return f"texts of {self.size} tokens" if words else f"images of {across(self.size)}"

    def stream(
        self, read: Reading, *, skip_unread: bool = False, views: int = 0
    ) -> Iterator[Prediction]:
        """Classify photographs a batch at a time, and yield each batch when it is done.

        The next batches are decoded, and the next one is handed to the device, before the numbers
        of one are waited for.
        """
        if views < 0:
            raise InputError(f"predict: views: expected 0 or more, found {views}")
        if self.task.dense:
            raise InputError(f"{self.rung}: expected a run that classifies, found one of masks")
        if views and isinstance(self.preprocess, Vocabulary):
            raise InputError("predict: views: expected none for texts, found some")
        classify = self._logits
        if views:
            classify = mean_over_views(self.net, ranges_of(self.stage), views=views)
        waiting: tuple[Batch, jax.Array] | None = None
        for batch in read.batches(skip=skip_unread):
            logits = classify(padded(batch.images))
            if waiting:
                yield self._said(read, *waiting)
            waiting = batch, logits
        if waiting:
            yield self._said(read, *waiting)

    def _said(self, read: Reading, batch: Batch, logits: jax.Array) -> Prediction:
        names = tuple(read.names[place] for place in batch.places)
        rows = np.asarray(logits)[: len(names)]
        unread = {read.names[place]: why for place, why in batch.unread.items()}
        return told(self.task, self.classes, names=names, logits=rows, unread=unread)

    def plot(self, path: str | Path) -> Path:
        """Draw loss and score against epoch, and write the picture, a PNG; returns its path."""
        from tljax.report.pictures import curves
        from tljax.runs import metrics  # above this room, and with Matplotlib: on demand

        if not self.history.epochs:
            raise InputError(f"{path}: {self.rung} was restored from a checkpoint: use load_run")
        series = {self.seed: metrics.series(self.history.epochs)}
        measure, solved = self.task.measures[0], self.solution is not None
        return curves.draw_curves(
            self.rung, series, path=at_home(path), measure=measure, solved=solved
        )

    def save(self, folder: str | Path) -> Path:
        """Write a folder that `load_run` opens, whole or not at all; returns its path.

        It has the averaged parameters, batch statistics and history, not the optimizer's state.
        A folder that `save` wrote is replaced; InputError for anything else that is there.
        """
        if not self.history.epochs:
            raise InputError(f"{folder}: {self.rung} was restored from a checkpoint: use load_run")
        last = self.history.result()
        params, kept = averaged(self.state), self.state
        state = State(jnp.int32(last["step"]), params, kept.model_state, {}, factors=kept.factors)
        row, epochs = self.row(), self.history.epochs
        return saved.write(at_home(folder), state=state, meta=self.meta(), row=row, records=epochs)

    @functools.cached_property
    def net(self) -> Net:
        """Return the network with its parameters on one device, for `tljax.inside`."""
        variables = {"params": averaged(self.state), **self.state.model_state}
        variables = jax.device_put(jax.device_get(variables), jax.local_devices()[0])
        module = build.classifier(self.network, task=self.task, classes=len(self.classes))
        return Net(
            module,
            variables.pop("params"),
            self.preprocess,
            self.classes,
            self.size,
            rung=self.rung,
            seed=self.seed,
            statistics=variables,
            network=self.network,
        )

    @functools.cached_property
    def _logits(self) -> Callable[[np.ndarray], jax.Array]:
        def logits(params: Params, images: jax.Array) -> jax.Array:
            return self.net.run(images, params)[0]

        program = ops.jit(logits)
        return lambda images: program(self.net.params, images)

    def meta(self) -> Json:
        """Describe the classifier in plain JSON, for its checkpoint."""
        return {
            "network": asdict(self.network),
            "preprocess": self.preprocess.to_dict(),
            "task": self.task.to_dict(),
            "classes": list(self.classes),
            "size": self.size,
            "stage": self.stage,
            "seed": self.seed,
            "data": self.data,
        }

    def row(self) -> Json:
        """Give its row in results.json: scores, sizes, times, and what is wrong with it."""
        last, history = self.history.result(), self.history
        rung, seed, collapsed = self.rung, self.seed, history.collapsed
        return {
            "name": rung,
            "seed": seed,
            "epochs": last["epoch"],
            **self._drawn(last["step"]),
            "validation": last["validation"],
            **self.scores,
            "trainable_params": self.trainable_params,
            "total_params": self.total_params,
            **{name: getattr(history, name) for name in MEASURES},
            **(self.solution.to_dict() if self.solution else {}),
            **({"collapsed": collapsed.to_dict(stage=rung, seed=seed)} if collapsed else {}),
            **({"alarm": self.alarm.to_dict(stage=rung, seed=seed)} if self.alarm else {}),
        }

    def _drawn(self, steps: int) -> Json:
        batch = self.stage.get("batch_size")
        solved = self.solution is not None
        return {} if solved or batch is None else {"images_drawn": steps * batch}

    def __repr__(self) -> str:
        classes = self.classes
        shown = ", ".join(classes) if len(classes) <= MOST_NAMED else f"{len(classes)} classes"
        named = f"{self.rung}, seed {self.seed}: {shown}"
        measure = self.task.measures[0]
        scores = [
            f"{split} {measure.shown(x[measure.name])} of {x['n']}"
            for split, x in self.scores.items()
        ]
        return f"Trained({'; '.join([named, self.about.partition(' of ')[2], *scores])})"

    def _repr_html_(self) -> str:
        """Show the classifier in a notebook: what it is, and its epochs."""
        return f"<p>{escape(repr(self))}</p>{self.history.table()}"


def refuse_other(trained: Trained, where: str) -> None:
    """Refuse all but a classifier of photographs; InputError begins with `where`."""
    if not isinstance(trained.task, Classification):
        raise InputError(f"{where}: expected a classifier, found a run of {trained.task.name}")
    of_pixels(trained.preprocess, where=where)
