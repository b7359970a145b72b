"""A small stage with augmentation and dropout, and its bits in a process of its own.

python small.py straight|resumed FOLDER
"""

import hashlib
import sys
from pathlib import Path

import jax
import numpy as np

from tljax.config import TRAIN_ALL, Stage
from tljax.data.augment import Augment
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.inputs import images as inputs
from tljax.machine import signals
from tljax.models import build
from tljax.models.build import Network
from tljax.train import loop
from tljax.train.ready import Ready
from tljax.train.resume import Saver
from tljax.tree import flatten

SIZE = 48
STAGE = Stage(
    "small",
    TRAIN_ALL,
    lr=1e-3,
    epochs=2,
    batch_size=16,
    images_per_epoch=64,
    augment=Augment(),
    dropout=0.5,
    keep_going=True,
)


def split(count, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    return ImageSet(
        pixels, rng.integers(0, 2, count, np.int32), tuple(f"{seed}/{i}" for i in range(count))
    )


SETS = ImageSets("noise", ("cat", "dog"), split(40, 0), split(16, 1), "0" * 64)


def ready(module=None, *, dtype="float32", seed=9):
    module = module or build.classifier(
        Network(base="cnn", hidden=8, dropout_flat=True), classes=2, dtype=dtype
    )
    variables = build.init(module, key=jax.random.key(seed), size=SIZE)
    read = inputs.from_images(SETS, augment=STAGE.augment, preprocess=UNIT)
    return Ready(module, variables, read)


def train(given=None, *, saver=None, stage=STAGE, program=None, seed=0):
    return loop.train_stage(
        stage,
        given or ready(),
        seed=seed,
        saver=saver,
        program=program,
        progress=False,
    )


def digest(state):
    bits = hashlib.sha256()
    for path, leaf in sorted(flatten(state.params).items()):
        bits.update(path.encode() + np.asarray(leaf).tobytes())
    return bits.hexdigest()


class StopsAfter(Saver):
    """As if a signal came in the segment that ends with this step."""

    def after(self, place, *, step, ended):
        signals._waiting = 15
        super().after(place, step=step, ended=ended)


def resumed(folder):
    try:
        train(saver=StopsAfter(folder, seconds=1e9))
    except signals.Interrupted:
        signals._waiting = None
    else:
        raise AssertionError("expected to be stopped")
    return train(saver=Saver(folder, seconds=1e9))


def main():
    way, folder = sys.argv[1], Path(sys.argv[2])
    state, history = resumed(folder) if way == "resumed" else train()
    assert [record["epoch"] for record in history.epochs] == [0, 1, 2]
    print(digest(state))


if __name__ == "__main__":
    main()
