"""A stage that goes to ruin says so and goes back; one that takes its time, or dips,
is left alone.
"""

import math
from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.inputs import images as inputs
from tljax.machine import devices, signals
from tljax.models import build, ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.objective import Objective
from tljax.optim.transform import Optimizer
from tljax.sweep import sweep
from tljax.train import loop, segments
from tljax.train.outcome import collapse
from tljax.train.ready import Ready
from tljax.train.resume import Saver

STAGE = Stage("tiny", TRAIN_ALL, lr=5e-3, epochs=4, optimizer=Optimizer("adam"), batch_size=8)
TOO_HIGH = replace(STAGE, lr=100 * 5e-3)
COIN = collapse.Chance(loss=math.log(2), share=0.5)


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        patch.setattr(segments, "segment_steps", lambda steps: 5)  # an epoch of ten has a middle
        yield


class Flat(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


def split(count, seed, classes):
    """Of each class one pixel is bright."""
    rng, labels = np.random.default_rng(seed), np.arange(count, dtype=np.int32) % classes
    pixels = rng.integers(0, 120, (count, 4, 4, 3))
    pixels[np.arange(count), labels % 4, labels // 4] += 130
    return ImageSet(pixels.astype(np.uint8), labels, tuple(f"{seed}/{i}" for i in range(count)))


def ready(classes, variables=None):
    sets = ImageSets(
        "t", tuple("abcde"[:classes]), split(80, 0, classes), split(100, 1, classes), "0" * 64
    )
    module = Classifier(base=Flat(), head=Head(outputs=1 if classes == 2 else classes, hidden=32))
    variables = variables or build.init(module, key=jax.random.key(9), size=4)
    read = inputs.from_images(sets, augment=None, preprocess=UNIT)
    return Ready(module, variables, read, build.Network(), UNIT)


def train(stage, start, **options):
    over = devices.mesh(jax.devices()[:1])
    return loop.train_stage(stage, start, seed=0, over=over, progress=False, **options)


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(jax.device_get(tree))]


@pytest.fixture(scope="module")
def trained():
    """By classes: what is ready for a second stage,
    which starts from a first one that went well.
    """

    def second(classes):
        state, history = train(STAGE, ready(classes))
        assert history.collapsed is None
        assert history.kept is None
        return ready(classes, {"params": state.params})

    return {classes: second(classes) for classes in (2, 5)}


@pytest.mark.parametrize("classes", [2, 5])
def test_at_a_rate_100_times_too_high_it_goes_back_and_says_so(trained, capsys, classes):
    state, history = train(TOO_HIGH, trained[classes])
    assert [record["epoch"] for record in history.epochs] == [
        0,
        1,
        2,
    ]  # two epochs of a constant, of four
    assert history.epochs[0]["validation"]["accuracy"] > 0.9
    assert history.kept == 0
    assert history.result() is history.epochs[0]
    assert bits(state.params) == bits(trained[classes].variables["params"])
    assert int(state.step) == 0
    found = history.collapsed
    assert (found.learnt_nothing, found.constant, found.epoch, found.last, found.back_to) == (
        False,
        True,
        1,
        2,
        0,
    )
    assert found.constant_loss == pytest.approx(math.log(classes))
    said = capsys.readouterr().out.splitlines()
    assert said == [found.line(stage="tiny", seed=0)]
    assert said[0].startswith("tiny, seed 0: collapsed: training loss ")
    assert "from epoch 1 on is above that of a constant prediction" in said[0]
    assert said[0].endswith(
        "(peak rate 5e-01); went back to epoch 0 (--keep-going keeps the last); lower --lr, "
        "or warm up longer"
    )


def test_keep_going_trains_to_the_end_keeps_the_last_and_says_so_all_the_same(trained, capsys):
    state, history = train(replace(TOO_HIGH, keep_going=True), trained[2])
    assert [record["epoch"] for record in history.epochs] == [0, 1, 2, 3, 4]
    assert history.kept is None
    assert int(state.step) == 40
    assert history.collapsed.back_to is None
    assert "collapsed" in capsys.readouterr().out


def test_a_stage_that_begins_at_chance_may_take_its_time():
    """As the scratch rung does: as good as a constant for several epochs, then it learns."""
    _, history = train(replace(STAGE, lr=2.5e-4, epochs=20), ready(2))
    losses = [record["train"]["loss"] for record in history.epochs[1:]]
    assert history.epochs[0]["validation"]["accuracy"] < 0.65
    assert min(losses[:3]) > math.log(2) > losses[-1]
    assert len(losses) == 20
    assert history.collapsed is None
    assert history.kept is None


def test_a_stage_that_only_begins_has_learnt_nothing(capsys):
    state, history = train(replace(STAGE, lr=1e-5, epochs=2), ready(5))
    assert history.collapsed.learnt_nothing
    assert len(history.epochs) == 3
    losses = [record["validation"]["loss"] for record in history.epochs]
    assert (
        min(losses) == losses[2]
    )  # and yet no better than its start: what is left may as well be dead
    assert history.kept == 0
    assert int(state.step) == 0
    said = capsys.readouterr().out
    assert "tiny, seed 0: learnt nothing: " in said
    assert "kept epoch 0, its untrained start: do not use what it predicts" in said
    assert "train longer, at another --lr, or look at the labels" in said


class StopsAfter(Saver):
    """As if a signal came in the segment that ends with this step."""

    def __init__(self, directory, step):
        super().__init__(directory, seconds=1e9)
        self._at = step

    def after(self, place, *, step, ended):
        if step == self._at:
            signals._waiting = 15
        super().after(place, step=step, ended=ended)


@pytest.mark.parametrize("step", [5, 10, 15, 20])
def test_stopped_before_or_after_it_collapsed_it_ends_with_the_same_bits(trained, tmp_path, step):
    """Inside the first epoch, after it, inside the second, and with nothing left to train."""
    whole, history = train(TOO_HIGH, trained[5])
    try:
        with pytest.raises(signals.Interrupted):
            train(TOO_HIGH, trained[5], saver=StopsAfter(tmp_path, step))
    finally:
        signals._waiting = None
    told = []
    state, rest = train(
        TOO_HIGH, trained[5], saver=Saver(tmp_path), on_epoch=lambda r, _: told.append(r["epoch"])
    )
    assert bits(state) == bits(whole)
    assert (rest.kept, rest.collapsed) == (history.kept, history.collapsed)
    assert told == [1, 2][step // 10 :]  # the start is not evaluated again


@pytest.mark.parametrize("keep_going", [False, True])
def test_seeds_in_one_program_end_as_alone(trained, keep_going):
    stage = replace(TOO_HIGH, keep_going=keep_going)
    found = sweep.train_seeds(stage, {0: trained[2]}, over=devices.mesh(jax.devices()[:1]))
    (state, history), (alone, told) = found[0], train(stage, trained[2])
    assert history.kept == told.kept
    assert history.collapsed.epoch == told.collapsed.epoch
    assert history.collapsed.back_to == told.collapsed.back_to
    assert [record["epoch"] for record in history.epochs] == [
        record["epoch"] for record in told.epochs
    ]
    if not keep_going:
        assert bits(state.params) == bits(alone.params)


def records(*epochs, n=1000):
    """Of (training loss, validation accuracy) from epoch 0 on, of ten steps each."""
    return [
        {
            "epoch": i,
            "step": 10 * i,
            "train": {"loss": loss},
            "validation": {"accuracy": right, "loss": 1.0, "n": n},
        }
        for i, (loss, right) in enumerate(epochs)
    ]


def became(*epochs, n=1000):
    told = records(*epochs, n=n)
    hopeless = [i for i in range(len(told)) if collapse.hopeless(told[: i + 1], COIN)]
    return hopeless, collapse.judged(told, told[-1], COIN, stage=STAGE, back_to=0)


def test_a_dip_is_no_collapse():
    assert became((math.nan, 0.96), (0.9, 0.5), (0.4, 0.95)) == ([], None)


def test_a_sure_and_mostly_right_network_has_a_high_loss_and_is_no_constant():
    """Unscaled features: a training loss of 13 beside 95 % in validation."""
    assert became((math.nan, 0.96), (12.9, 0.95), (3.0, 0.95), (1.5, 0.955)) == ([], None)
    assert became((math.nan, 0.5), (12.9, 0.7), (3.0, 0.9)) == ([], None)


def test_one_epoch_is_judged_at_its_end():
    hopeless, found = became((math.nan, 0.96), (0.694, 0.5))
    assert hopeless == []
    assert (found.constant, found.learnt_nothing, found.epoch) == (True, False, 1)


def test_two_epochs_of_a_constant_end_a_stage_that_began_better_and_no_other():
    ruined = ((0.7, 0.5), (0.694, 0.5), (0.693, 0.5))
    assert became((math.nan, 0.96), *ruined)[0] == [2, 3]
    hopeless, found = became((math.nan, 0.52), *ruined)
    assert hopeless == []
    assert found.learnt_nothing


def test_a_fall_by_more_than_noise_is_a_collapse_though_the_loss_is_low():
    _, found = became((math.nan, 0.96), (0.3, 0.96), (0.2, 0.85))
    assert (found.constant, found.epoch) == (False, 2)
    assert "validation fell from 96.0 % to 85.0 % at epoch 2" in found.line(stage="s", seed=1)
    assert became((math.nan, 0.96), (0.2, 0.945)) == ([], None)


def test_what_noise_is_follows_fisher():
    """One-sided: of 2n images with so many right,
    how likely are so few of them among n? By the formula.
    """
    n, start = 50, 45
    for end in range(start):
        total = start + end
        tail = sum(
            math.comb(n, k) * math.comb(n, total - k) for k in range(max(0, total - n), end + 1)
        )
        told = records((math.nan, start / n), (0.1, end / n), n=n)
        assert collapse.fell(*told) == (tail / math.comb(2 * n, total) < 1e-3)


def test_a_constants_loss_is_that_of_the_labels_under_the_objective():
    start = ready(5)
    assert collapse.chance(STAGE, start.inputs) == collapse.Chance(pytest.approx(math.log(5)), 0.2)
    smoothed = replace(STAGE, objective=Objective(label_smoothing=0.1))
    assert collapse.chance(smoothed, start.inputs).loss == pytest.approx(math.log(5))


def test_a_stage_that_came_from_chance_and_was_good_for_an_epoch_collapsed():
    """Seen on the real base: 88 % after an epoch at 100 times the rate, then constant."""
    _, found = became((math.nan, 0.5), (5.0, 0.88), (0.693, 0.5))
    assert not found.learnt_nothing
    assert "collapsed" in found.line(stage="s", seed=0)
