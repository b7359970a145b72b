"""How many views a stage trains from,
and that those of a frozen prefix change nothing but the time.
"""

import os
import pathlib
import re
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax import config
from tljax.config import TRAIN_ALL, Stage, rules_of
from tljax.data.augment import Augment
from tljax.data.preprocess import TORCH
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import views
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.weights import Weights

NETWORK = Network(hidden=4, options={"width": 0.0625})
AUTO = Stage(
    "late", rules_of("finetune"), lr=1e-3, epochs=3, batch_size=4, augment=Augment(), views="auto"
)
VIEW = 10 * 2 * 2 * 32 * 4  # bytes: photographs, activations of block4_pool in float32


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(10, 0), split(4, 1), "0" * 64)


@pytest.mark.parametrize(
    ("epochs", "room", "views_", "why"),
    [
        (
            3,
            10**9,
            3,
            r"3 augmented views of each photograph, saved after block4_pool \(0 MB\)",
        ),
        (100, 10**9, config.MOST_VIEWS, r"16 augmented views .* \(0 MB\)"),
        (100, 7 * VIEW + VIEW // 2, 7, r"7 augmented views .* \(0 MB, all that fit into 0 MB\)"),
        (100, VIEW, 1, "1 augmented views"),
        (
            100,
            VIEW - 1,
            None,
            "photographs are augmented afresh: one view of each after block4_pool takes 0 MB",
        ),
    ],
)
def test_auto_is_as_many_views_as_are_worth_it_and_fit(monkeypatch, epochs, room, views_, why):
    monkeypatch.setattr(views, "room", lambda: room)
    found, said = views.settled(replace(AUTO, epochs=epochs), NETWORK, SETS)
    assert found == replace(AUTO, epochs=epochs, views=views_)
    assert re.match(f"late: {why}", said)


def test_activations_of_half_the_size_leave_room_for_twice_the_views(monkeypatch):
    monkeypatch.setattr(views, "room", lambda: 4 * VIEW)
    long = replace(AUTO, epochs=100)
    assert views.settled(long, NETWORK, SETS)[0].views == 4
    assert views.settled(replace(long, features_dtype="bfloat16"), NETWORK, SETS)[0].views == 8
    assert views.settled(long, NETWORK, SETS, dtype=jnp.bfloat16)[0].views == 8


def test_a_number_stays_and_nothing_is_said():
    stage = replace(AUTO, views=5)
    assert views.settled(stage, NETWORK, SETS) == (stage, None)


def test_views_want_a_frozen_first_layer():
    with pytest.raises(
        InputError, match="views need a frozen first layer; its rules train block1_conv1"
    ):
        views.settled(replace(AUTO, rules=TRAIN_ALL), NETWORK, SETS)
    with pytest.raises(InputError, match="views must be 1 or more, found many"):
        replace(AUTO, views="many")
    with pytest.raises(
        InputError, match="features_dtype must be float32 or bfloat16, found float16"
    ):
        replace(AUTO, features_dtype="float16")


@pytest.fixture(scope="module")
def weights():
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(5), size=32)[
        "params"
    ]["base"]
    return Weights(
        jax.device_get(params), {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {}
    )


def test_as_many_views_as_passes_give_the_bits_of_running_the_prefix_at_each_step():
    """Head and block 5 without augmentation, then two augmented passes under two seeds.

    On one device, as it is: simulated ones share threads, and sums are cut otherwise.
    """
    script = pathlib.Path(__file__).with_name("trained_from_views.py")
    clean = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": str(script.parents[2])}
    said = subprocess.run(
        [sys.executable, str(script)], env=clean, capture_output=True, text=True, check=True
    ).stdout
    leaves = 4 * 2 * (13 + 2)  # kernels and biases of all layers, of four runs
    # Besides them each run says that a stage of so few photographs has learnt nothing.
    assert [line for line in said.splitlines() if line.startswith(("differs", "compared"))] == [
        f"compared: {leaves}"
    ]


def test_activations_in_bfloat16_are_those_in_float32_rounded(weights, tmp_path):
    stage = replace(AUTO, views=2)
    module = build.classifier(NETWORK, classes=2)
    options = {"preprocess": TORCH, "store": tmp_path / "f.h5", "progress": False}
    given = build.init(module, key=jax.random.key(0), size=32)
    given["params"]["base"] = weights.params
    full = views.reading(stage, NETWORK, module, given, SETS, **options).train.inputs
    half = views.reading(
        replace(stage, features_dtype="bfloat16"), NETWORK, module, given, SETS, **options
    ).train.inputs
    assert (full.dtype, half.dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_array_equal(half, full.astype(jnp.bfloat16))
