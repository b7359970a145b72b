"""Stages on one device, from views of each photograph and from the photographs; see test_views.py.

Prints the parameters that differ in any bit, a line each, and at last how many were compared.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np

from tljax.config import HEAD_ONLY, Stage, rules_of
from tljax.data.augment import Augment
from tljax.data.preprocess import TORCH
from tljax.data.sources import ImageSet, ImageSets
from tljax.models import build
from tljax.models.build import Network
from tljax.train import frozen, rung, setup
from tljax.train.source import Source
from tljax.tree import flatten
from tljax.weights import Weights

NETWORK = Network(hidden=4, options={"width": 0.0625})
STAGE = Stage(
    "s", HEAD_ONLY, lr=1e-3, epochs=2, batch_size=4, views=1, dropout=0.5, keep_going=True
)


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


def main():
    sets = ImageSets("test", ("cat", "dog"), split(10, 0), split(4, 1), "0" * 64)
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(5), size=32)[
        "params"
    ]["base"]
    weights = Weights(
        jax.device_get(params), {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {}
    )
    compared = 0
    augmented = replace(STAGE, augment=Augment(), views=2)  # as many as it has passes
    for stage, seed in (
        (STAGE, 1),
        (replace(STAGE, rules=rules_of("finetune")), 1),
        (augmented, 1),
        (augmented, 5),
    ):
        with TemporaryDirectory() as folder:
            source = Source(sets, weights, store=Path(folder), progress=False)
            stages = [replace(stage, views=views) for views in (stage.views, None)]
            readies = [setup.prepare(each, NETWORK, source, seed=seed) for each in stages]
            trained = [
                rung.run(*pair, seed=seed, progress=False)
                for pair in zip(stages, readies, strict=True)
            ]
            cached, fresh = (flatten(each.state.params) for each in trained)
        for path, leaf in fresh.items():
            compared += 1
            if not frozen.same_bits(leaf, cached[path]):
                print(f"differs: {path}")
    print(f"compared: {compared}")


if __name__ == "__main__":
    main()
