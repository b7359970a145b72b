from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.data.augment import Augment
from tljax.errors import InputError
from tljax.inputs.feed import Examples
from tljax.inputs.images import Inputs
from tljax.machine import devices
from tljax.models import build, ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.transform import Optimizer
from tljax.sweep import folds
from tljax.train import loop
from tljax.train.ready import Ready

STAGE = Stage(
    "tiny", TRAIN_ALL, lr=0.5, epochs=3, optimizer=Optimizer("sgd", momentum=0.0), batch_size=4
)
STAGE = replace(STAGE, keep_going=True)  # folds go back to no epoch
ONE = devices.mesh(jax.devices()[:1])


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


class Flat(nn.Module):
    """A base without parameters."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


LINEAR = Classifier(base=Flat(), head=Head(outputs=1, hidden=0))
RNG = np.random.default_rng(0)
LABELS = np.array([0] * 13 + [1] * 9, np.int32)
ROWS = (RNG.normal(size=(22, 2, 2, 3)) + LABELS[:, None, None, None]).astype(np.float32)


def read(train, validation):
    both = (Examples(ROWS[rows], LABELS[rows]) for rows in (train, validation))
    return Inputs(*both, augmented=lambda x, keys, strength: x, plain=lambda x: x)


def start(seed):
    return build.init(LINEAR, key=jax.random.key(seed), size=2)


def run(stage=STAGE, k=5, seeds=(3, 4), **options):
    every = np.arange(22)
    shared = read(every, every[:2])
    return folds.cross_validate(
        stage,
        lambda seed: Ready(LINEAR, start(seed), shared),
        k=k,
        seeds=seeds,
        over=ONE,
        **options,
    )


@pytest.mark.parametrize("k", [2, 5, 22])
def test_folds_are_equal_parts_with_as_much_of_each_class(k):
    fold = folds.stratified(LABELS, k=k, seed=0)
    for members in (fold, fold[LABELS == 0], fold[LABELS == 1]):
        counts = np.bincount(members, minlength=k)
        assert counts.max() - counts.min() <= 1
    assert (folds.stratified(LABELS, k=k, seed=0) == fold).all()
    assert (folds.stratified(LABELS, k=k, seed=1) != fold).any()


def test_each_example_is_judged_by_the_run_that_never_saw_it():
    """Equal to training alone without the fold, with as many steps as the smallest part allows."""
    found = run()
    assert found.logits.shape == (2, 22, 1)
    assert (found.plan.members, found.seeds) == (10, (3, 4))
    stage = replace(STAGE, images_per_epoch=17)
    for at, seed in enumerate((3, 4)):
        for i in (0, 4):
            train, held = np.flatnonzero(found.fold != i), np.flatnonzero(found.fold == i)
            ready = Ready(LINEAR, start(seed), read(train, held))
            state, history = loop.train_stage(stage, ready, seed=seed, over=ONE, progress=False)
            expected = np.asarray(LINEAR.apply({"params": state.params}, ROWS[held])[0])
            np.testing.assert_allclose(found.logits[at, held], expected, atol=1e-4)
            right = (found.logits[at, held, 0] > 0) == LABELS[held]
            assert right.mean() == pytest.approx(history.epochs[-1]["validation"]["accuracy"])


def test_leaving_one_out_is_as_many_folds_as_examples():
    found = run(k=22, seeds=(0,), most=8)
    assert sorted(found.fold) == list(range(22))
    assert found.plan.calls == 3
    assert np.isfinite(found.logits).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1}, "folds: expected from 2 to 22, one for each example, found 1"),
        ({"k": 23}, "folds: expected from 2 to 22, one for each example, found 23"),
        ({"seeds": ()}, "folds: expected a seed or more"),
        (
            {"stage": replace(STAGE, augment=Augment())},
            "folds: stage 'tiny': expected plain features, found augmented",
        ),
        (
            {"stage": replace(STAGE, lr=1e38)},
            "stage 'tiny': the loss of fold [0-4] is not finite; lower the rate",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        run(**options)
