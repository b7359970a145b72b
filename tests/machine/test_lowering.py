"""Every program is lowered for accelerators that are not here, and holds what they run.

The rungs of VGG16 and the network from scratch, one after another; other programs, one of each
kind. `pytest -m slow tests/machine/test_lowering.py` runs those that take long.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from tljax import config
from tljax.data.augment import Augment, Photometric
from tljax.train import setup
from tljax.train.source import Source

from . import lowered
from .lowered import BACKENDS, OPTIONS, pretend, segment, sets, text

SIZE = 75  # odd maps on the way down: 75, 37, 9 of VGG16 and 73, 35 of the network from scratch
SETS = sets(SIZE)
BASES = (  # the smallest of each kind, with "resnet18"
    "efficientnet-lite0",
    "convnext-tiny",
    "mobilenet-v2",
    "mobilenet-v3-large",
    "vit-small",
)


def of_rung(rung, dtype):
    network = replace(config.NETWORKS[rung], hidden=8)
    if network.base == "vgg16":
        network = replace(network, options=OPTIONS["vgg16"])
    stage = replace(config.PRESETS["deck-keras3"][rung], batch_size=8, images_per_epoch=None)
    if stage.augment:  # all that an augmentation can have
        stage = replace(stage, augment=Augment(photometric=Photometric()))
    return segment(stage, setup.outline(stage, network, Source(SETS, dtype=jnp.dtype(dtype))))


@pytest.mark.parametrize("platform", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rung", config.STEPPED)
def test_every_rung_is_lowered_without_its_device(monkeypatch, rung, dtype, platform):
    pretend(monkeypatch, platform)
    found = text(of_rung(rung, dtype), platform)
    assert "stablehlo.while" in found
    assert ("bf16>" in found) == (dtype == "bfloat16")


QUICK = {
    "evaluation": lowered.evaluated,
    "frozen base": lowered.frozen_base,
    "two domains": lowered.two_domains,
    "texts": partial(lowered.encoder, "minilm-l6"),
    "sharded": partial(lowered.mapped, by_pmap=False),
    "resnet18": partial(lowered.another, "resnet18"),
}
LONG = {
    "two tasks": lowered.two_tasks,
    "masks": lowered.masks,
    "next token": lowered.language,
    "pmap": partial(lowered.mapped, by_pmap=True),
    **{base: partial(lowered.another, base) for base in BASES},
}
OTHERS = {**QUICK, **LONG}


@pytest.mark.parametrize(
    "kind", [*QUICK, *(pytest.param(kind, marks=pytest.mark.slow) for kind in LONG)]
)
def test_every_other_program_is_lowered_for_all_of_them(monkeypatch, kind):
    """In bfloat16; traced once, as the platforms are told apart by `cpu` alone."""
    pretend(monkeypatch, "tpu")
    for traced in OTHERS[kind]():
        for platform in BACKENDS:
            assert "bf16>" in text(traced, platform)


def test_a_sweep_is_lowered_as_an_accelerator_runs_it(monkeypatch):
    """Its convolutions have a kernel for each member: as groups."""
    pretend(monkeypatch, "tpu")
    for traced in lowered.sweep(monkeypatch):
        for platform in BACKENDS:
            assert "feature_group_count = 2" in text(traced, platform)


def test_the_stock_pooling_would_be_seen():
    def stock(x):
        window = (1, 2, 2, 1)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID").sum()

    traced = jax.jit(jax.grad(stock)).trace(jnp.zeros((2, 6, 7, 3)))
    assert "select_and_scatter" in traced.lower(lowering_platforms=("cuda",)).as_text()
