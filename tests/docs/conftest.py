"""Where a reader stands: a folder with a few photographs, a base and a run."""

import os
import pathlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tljax import config, data, weights
from tljax.climb import ladder
from tljax.data.preprocess import TORCH
from tljax.models import ops, vgg
from tljax.runs.workdir import Workdir
from tljax.train.source import Source

WIDTH = 0.0625


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """`photos/`, `new_photo.jpg`, `base.safetensors` of random kernels, and `runs/ladder`,
    one short rung of it.
    """
    folder = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(0)
    for split, each in (("train", 6), ("validation", 3)):
        for number, animal in enumerate(("cat", "dog")):
            (folder / "photos" / split / animal).mkdir(parents=True)
            for i in range(each):
                pixels = rng.integers(0, 200, (32, 32, 3)) + 50 * number
                Image.fromarray(pixels.astype(np.uint8)).save(
                    folder / "photos" / split / animal / f"{i}.png"
                )
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "new_photo.jpg")
    weights.write(folder / "base.safetensors", random_base(rng))
    own = pathlib.Path(__file__).parents[2] / "docs" / "howto" / "tiny_resnet.py"
    shutil.copy(own, folder / own.name)
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        climb_a_rung(pathlib.Path("runs/ladder"))
    return folder


def climb_a_rung(run):
    """Leave what `tljax features` leaves, but for its report."""
    sets = data.load("folder:photos", size=32, progress=False)
    stage = replace(config.PRESETS["tuned"]["features"], epochs=1)
    stages = {"features": (config.NETWORKS["features"], stage)}
    workdir, base = Workdir(run), weights.read("base.safetensors")
    workdir.begin(arguments={}, stages=stages, sets=sets)
    source = Source(sets, weights=base, store=workdir.features, progress=False)
    ladder(stages, source, seeds=[0], workdir=workdir)


@pytest.fixture
def reader(prepared, tmp_path, monkeypatch):
    """A copy of that folder, to be written to, as the working directory."""
    folder = shutil.copytree(prepared, tmp_path / "reader", copy_function=os.link)
    enter(folder, monkeypatch)
    return folder


def enter(folder, patch):
    """Compile in a hurry, as compiling takes most of the time here, and show no progress bars."""
    patch.chdir(folder)
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})


def random_base(rng):
    params, before = {}, 3
    for layer in vgg.CONVS:
        after = vgg.channels(layer, WIDTH)
        kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (3, 3, before, after)).astype(np.float32)
        params[layer] = {"kernel": kernel, "bias": np.zeros(after, np.float32)}
        before = after
    return weights.Weights(
        params, {"name": "vgg16", "width": WIDTH}, TORCH, ("cat", "dog"), {"made": "by a test"}
    )
