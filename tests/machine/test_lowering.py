"""Every rung's program is lowered for accelerators that are not here, and holds what they run."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax import config
from tljax.data.augment import Augment, Photometric
from tljax.data.sources import ImageSet, ImageSets
from tljax.machine import devices
from tljax.models import ops
from tljax.train import program, setup
from tljax.train.segments import make_program, segment_steps, shapes
from tljax.train.source import Source

BACKENDS = {"cuda": "gpu", "rocm": "gpu", "tpu": "tpu"}
SIZE = 75  # odd maps on the way down: 75, 37, 9 of VGG16 and 73, 35 of the network from scratch


def split(count):
    images = np.zeros((count, SIZE, SIZE, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(16), split(8), "0" * 64)


def traced(rung, dtype, base="vgg16"):
    """A whole segment of a rung: draws, augmentation, steps and the optimizer, from shapes."""
    network = replace(config.NETWORKS[rung], hidden=8)
    network = network.on(base, {"width": 0.0625} if base == "vgg16" else {})
    stage = config.stage_on(rung, config.PRESETS["deck-keras3"][rung], base)
    stage = replace(stage, batch_size=8, images_per_epoch=None)
    if stage.augment:  # all that an augmentation can have
        stage = replace(stage, augment=Augment(photometric=Photometric()))
    ready = setup.outline(stage, network, Source(SETS, dtype=jnp.dtype(dtype)))
    first, train_step, _ = program.pieces(stage, ready)
    over = devices.mesh_for(stage.batch_size)
    length = segment_steps(stage.steps_per_epoch(len(SETS.train.labels)))
    state = jax.eval_shape(first, ready.variables)
    arguments = shapes(stage, ready.inputs.train, length, over=over)
    return make_program(train_step, ready, over).trace(state, *arguments)


@pytest.mark.parametrize("platform", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rung", config.STEPPED)
def test_every_rung_is_lowered_without_its_device(monkeypatch, rung, dtype, platform):
    """No scatter over windows, which is the slow gradient of a maximum; nothing in float64, which
    TPUs lack.
    """
    monkeypatch.setattr(jax, "default_backend", lambda: BACKENDS[platform])
    monkeypatch.setattr(ops, "compiler_options", lambda: None)
    text = traced(rung, dtype).lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.while" in text
    assert "stablehlo.dot_general" in text
    assert "select_and_scatter" not in text
    assert "f64>" not in text
    assert ("bf16>" in text) == (dtype == "bfloat16")


def test_the_overlapping_pooling_of_a_resnet_has_no_scatter_either(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(ops, "compiler_options", lambda: None)
    lowered = traced("differential", "bfloat16", "resnet18").lower(lowering_platforms=("cuda",))
    text = lowered.as_text()
    assert "stablehlo.convolution" in text
    assert "select_and_scatter" not in text


def test_the_stock_pooling_would_be_seen():
    def stock(x):
        window = (1, 2, 2, 1)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID").sum()

    text = (
        jax.jit(jax.grad(stock)).trace(jnp.zeros((2, 6, 7, 3))).lower(lowering_platforms=("cuda",))
    )
    assert "select_and_scatter" in text.as_text()
