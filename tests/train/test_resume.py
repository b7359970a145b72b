"""A stage that was stopped goes on to the same bits: inside an epoch, between epochs,
with states held to return to.
"""

from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.data.augment import Augment
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.machine import devices, signals
from tljax.models import build, ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.transform import Optimizer
from tljax.train import loop, segments
from tljax.train.ready import Ready
from tljax.train.resume import Saver


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    """Two steps in a program, so that an epoch has a middle."""
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
    monkeypatch.setattr(segments, "segment_steps", lambda steps: 2)


class Flat(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


MODULE = Classifier(base=Flat(), head=Head(outputs=1, hidden=64, dropout_hidden=True))
STAGE = Stage(
    "tiny",
    TRAIN_ALL,
    lr=0.05,
    epochs=3,
    optimizer=Optimizer("adam"),
    batch_size=8,
    images_per_epoch=32,
    augment=Augment(),
    dropout=0.5,
    ema=0.9,
    patience=9,
)


def split(count, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return ImageSet(
        pixels,
        rng.integers(0, 2, count).astype(np.int32),
        tuple(f"{seed}/{i}" for i in range(count)),
    )


SETS = ImageSets("test", ("cat", "dog"), split(20, 0), split(11, 1), "0" * 64)


def train(stage=STAGE, *, saver=None, over=1):
    variables = build.init(MODULE, key=jax.random.key(9), size=4)
    read = inputs.from_images(SETS, augment=stage.augment, preprocess=UNIT)
    mesh = devices.mesh(jax.devices()[:over])
    return loop.train_stage(
        stage, Ready(MODULE, variables, read), seed=0, over=mesh, saver=saver, progress=False
    )


class StopsAfter(Saver):
    """As if a signal came in the segment that ends with this step."""

    def __init__(self, directory, step):
        super().__init__(directory, seconds=1e9)
        self._at = step

    def after(self, place, *, step, ended):
        if step == self._at:
            signals._waiting = 15
        super().after(place, step=step, ended=ended)


@pytest.fixture(autouse=True)
def no_signal():
    yield
    signals._waiting = None


def stopped(directory, step, *, stage=STAGE, over=1):
    with pytest.raises(signals.Interrupted):
        train(stage, saver=StopsAfter(directory, step), over=over)
    signals._waiting = None


def told(history):
    """As text, in which NaN is NaN."""
    return [
        repr({k: v for k, v in r.items() if k not in ("seconds", "images_per_second")})
        for r in history.epochs
    ]


def bits(state):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(jax.device_get(state))]


@pytest.mark.parametrize(("step", "over"), [(2, 1), (4, 1), (6, 1), (12, 1), (6, 8)])
def test_a_stopped_stage_ends_with_the_same_bits(tmp_path, step, over):
    """Inside the first epoch (steps 1 to 4), at its end, inside the second,
    and with nothing left to train.
    """
    whole, history = train(over=over)
    stopped(tmp_path, step, over=over)
    state, rest = train(saver=Saver(tmp_path), over=over)
    assert bits(state) == bits(whole)
    assert told(rest) == told(history)
    assert rest.kept == history.kept


def test_another_number_of_devices_goes_on_almost_alike(tmp_path):
    """At a usual rate: Adam divides by its gradients' own size,
    and 0.05 makes 7e-6 of the order of sums.
    """
    stage = replace(STAGE, lr=1e-3)
    whole, _ = train(stage)
    stopped(tmp_path, 6, stage=stage, over=8)
    state, _ = train(stage, saver=Saver(tmp_path))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.params, whole.params
    )


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "half", "metrics"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(tmp_path, capsys, damage):
    whole, history = train()
    stopped(tmp_path, 4)
    stopped(tmp_path, 6)
    newest = tmp_path / "000006"
    file = max(
        (p for p in (newest / "params").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    if damage == "half":
        for name in ("meta", "params"):
            (newest / name).rename(tmp_path / f"gone-{name}")
    elif damage == "delete":
        file.unlink()
    elif damage == "metrics":
        (newest / "metrics" / "metrics").write_text("{")
    else:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    state, rest = train(saver=Saver(tmp_path))
    assert bits(state) == bits(whole)
    assert told(rest) == told(history)
    said = capsys.readouterr().out
    assert str(newest) in said
    assert len([line for line in said.splitlines() if "learnt nothing" not in line]) == 1


def test_another_identity_is_not_continued(tmp_path):
    saver = Saver(tmp_path, identity={"data": "a", "rates": (1, 2)})
    train(replace(STAGE, epochs=1), saver=saver)
    with pytest.raises(
        InputError, match="begun with other settings: data a -> b; --overwrite starts anew"
    ):
        train(
            replace(STAGE, epochs=1), saver=Saver(tmp_path, identity={"data": "b", "rates": (1, 2)})
        )


def test_a_stage_is_saved_at_its_end_and_otherwise_not_too_often(tmp_path):
    train(saver=Saver(tmp_path / "rare", seconds=1e9))
    assert sorted(path.name for path in (tmp_path / "rare").iterdir()) == ["000012"]
