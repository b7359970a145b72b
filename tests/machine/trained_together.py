"""A stage with augmentation and dropout, trained by as many processes as the arguments say;
see test_processes.py.

python trained_together.py ADDR PROCESSES PROCESS OUT DIGEST
"""

import os
import sys
from pathlib import Path

import jax
import numpy as np

from tljax.config import TRAIN_ALL, Stage
from tljax.data.augment import Augment
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.inputs import images as inputs
from tljax.machine import devices, processes
from tljax.models import build
from tljax.models.build import Network
from tljax.optim.transform import Optimizer
from tljax.train import loop
from tljax.train.ready import Ready
from tljax.tree import flatten

STAGE = Stage(
    "together",
    TRAIN_ALL,
    lr=0.05,
    epochs=2,
    optimizer=Optimizer("sgd", momentum=0.9),
    batch_size=8,
    augment=Augment(),
    dropout=0.5,
    keep_going=True,
)


def trained(over):
    """The state after six steps, and the metrics of the last epoch."""
    rng = np.random.default_rng(0)

    def split(count, name):
        pixels = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
        return ImageSet(
            pixels, rng.integers(0, 2, count, np.int32), tuple(f"{name}/{i}" for i in range(count))
        )

    sets = ImageSets("test", ("cat", "dog"), split(24, "train"), split(11, "validation"), "0" * 64)
    module = build.classifier(
        Network(hidden=8, dropout_hidden=True, options={"width": 0.0625}), classes=2
    )
    variables = build.init(module, key=jax.random.key(0), size=32)
    ready = Ready(
        module, variables, inputs.from_images(sets, augment=STAGE.augment, preprocess=UNIT)
    )
    state, history = loop.train_stage(STAGE, ready, seed=0, over=over, progress=False)
    return state, history.epochs[-1]["validation"]


def main():
    address, count, index, out, digest = sys.argv[1:]
    processes.start(coordinator=address, processes=int(count), process=int(index))
    try:
        processes.agree("data", digest)
    except InputError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(2)
    state, metrics = trained(devices.mesh_for(STAGE.batch_size))
    orbax_store.save(
        Path(out) / "checkpoints",
        int(state.step),
        state=state,
        meta={},
        metrics={"score": metrics["accuracy"], "loss": metrics["loss"]},
    )
    flat = {path: np.asarray(leaf) for path, leaf in flatten(state.params).items()}
    np.savez(
        Path(out) / f"process{index}.npz",
        accuracy=metrics["accuracy"],
        loss=metrics["loss"],
        **flat,
    )


if __name__ == "__main__":
    main()
