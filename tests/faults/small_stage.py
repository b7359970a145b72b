"""A stage of a second, to be disturbed: in the process of the test, or in one of its own.

`python small_stage.py WORDS FOLDER` trains it with a saver in the folder
and prints the digest of what came out.
"""

import hashlib
import sys

import flax.linen as nn
import jax
import numpy as np

from tljax.config import TRAIN_ALL, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.inputs import images as inputs
from tljax.machine import devices
from tljax.models import build, ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.transform import Optimizer
from tljax.train import loop, segments
from tljax.train.ready import Ready
from tljax.train.resume import Saver

QUICK = {"xla_backend_optimization_level": 0}


class Flat(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


MODULE = Classifier(
    base=Flat(), head=Head(outputs=1, hidden=512)
)  # 100 kB, and as much for its momentum
STAGE = Stage(
    "tiny",
    TRAIN_ALL,
    lr=0.05,
    epochs=4,
    optimizer=Optimizer("sgd", momentum=0.9),
    batch_size=4,
    images_per_epoch=16,
)


def split(count, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return ImageSet(
        pixels,
        rng.integers(0, 2, count).astype(np.int32),
        tuple(f"{seed}/{i}" for i in range(count)),
    )


SETS = ImageSets("test", ("cat", "dog"), split(10, 0), split(4, 1), "0" * 64)


def variables():
    return build.init(MODULE, key=jax.random.key(9), size=4)


def train(stage=STAGE, *, saver=None, start=None):
    """Four epochs of four steps, two in a program."""
    read = inputs.from_images(SETS, augment=None, preprocess=UNIT)
    return loop.train_stage(
        stage,
        Ready(MODULE, start or variables(), read),
        seed=0,
        over=devices.mesh(jax.devices()[:1]),
        saver=saver,
        progress=False,
    )


def bits(state):
    """The digest of every leaf."""
    return [
        hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest() for leaf in jax.tree.leaves(state)
    ]


def hurry(patch):
    """Two steps in a program, and no time lost on optimising them."""
    patch(ops, "compiler_options", lambda: QUICK)
    patch(segments, "segment_steps", lambda steps: 2)


def main(words, folder):
    """`interrupt` sends SIGINT while the second checkpoint is written, and once more."""
    import os
    import signal
    import time

    from tljax.commands import running
    from tljax.files import manifest
    from tljax.machine import signals

    hurry(setattr)
    make, calls = manifest.make, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if words == "interrupt" and len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            while (
                not signals.waiting()
            ):  # this may be the thread of a save; the main one takes signals
                time.sleep(0.01)
            print("first", flush=True)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)  # the process ends before
        return make(*arguments, **options)

    manifest.make = interrupted
    running.run(lambda: print(bits(train(saver=Saver(folder, seconds=0.0))[0]), flush=True))


if __name__ == "__main__":
    import pathlib

    main(sys.argv[1], pathlib.Path(sys.argv[2]))
