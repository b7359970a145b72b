"""The journal of a stage that is resumed: its clock and its speed, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.inputs.feed import Examples
from tljax.inputs.images import Inputs
from tljax.models.heads import Head
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import unknown
from tljax.train.history import start_of
from tljax.train.journal import Journal, Meter
from tljax.train.ready import Ready
from tljax.train.resume import Place
from tljax.train.step import State

# 16 photographs, batches of 4: four steps an epoch.
STAGE = Stage("tiny", TRAIN_ALL, lr=0.1, epochs=3, batch_size=4, keep_going=True)
EXAMPLES = Examples(np.zeros((16, 2), np.float32), np.arange(16, dtype=np.int32) % 2)
READY = Ready(Head(outputs=1), {}, Inputs(EXAMPLES, EXAMPLES, lambda x, *_: x, lambda x: x))
STATE = State(np.int32(6), {}, {}, ())
SCORES = {"loss": 0.1, "accuracy": 1.0, "n": 16}


def record(*, speed, seconds, **more):
    train = {"loss": 0.1, "accuracy": 1.0}
    about = {"epoch": 1, "step": 4, "train": train, "validation": SCORES}
    return {**about, "images_per_second": speed, "seconds": seconds, **more}


def resumed(stage, last, sums=None):
    start = start_of(
        "tiny", seed=0, nothing=unknown(CLASSIFICATION), validation=SCORES, seconds=1.0
    )
    place = Place(STATE, [start, last], sums or {}, step_flops=7.0)
    given = {"first_step": 6, "seed": 0, "began": 0.0, "on_epoch": None, "progress": False}
    return Journal(stage, READY, place, **given)


def test_skipped_steps_are_not_counted_as_images():
    """Three of four steps skipped at 8 images a second: four images in half a second."""
    journal = resumed(
        replace(STAGE, skip_nonfinite=True), record(speed=8.0, seconds=3.0, skipped=3)
    )
    journal.finish()
    assert journal.history.train_seconds == pytest.approx(0.5)
    assert journal.history.images_per_second == pytest.approx(8.0)


def test_without_skipped_steps_an_epoch_is_all_its_images():
    journal = resumed(STAGE, record(speed=8.0, seconds=3.0))
    journal.finish()
    assert journal.history.train_seconds == pytest.approx(2.0)
    assert journal.history.images_per_second == pytest.approx(8.0)
    assert journal.history.step_flops == 7.0


def test_the_clock_goes_on_from_the_last_epoch_and_what_was_trained_since(monkeypatch):
    journal = resumed(STAGE, record(speed=8.0, seconds=3.0), sums={"seconds": 0.25})
    monkeypatch.setattr("time.perf_counter", lambda: 10.0)
    journal.finish()
    assert journal.history.seconds == pytest.approx(13.25)


def test_means_are_over_the_images_of_steps_that_were_taken():
    meter = Meter(CLASSIFICATION)
    steps = {"loss": [2.0, 0.0], "correct": [3.0, 0.0], "count": [4.0, 0.0], "skipped": [0.0, 1.0]}
    meter.add({name: np.array(values) for name, values in steps.items()}, seconds=0.5)
    assert meter.means() == {"loss": 0.5, "accuracy": 0.75}
    assert meter.speed() == 8.0
