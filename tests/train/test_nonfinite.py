"""Steps whose loss or gradient is not finite: passed over where the stage says so,
and counted; else not looked for.
"""

import functools
from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.data.draws import draws
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.machine import devices
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim import rules as rules_lib
from tljax.optim import transform
from tljax.optim.transform import Optimizer
from tljax.train import frozen, loop, lr_finder, step
from tljax.train.ready import Ready
from tljax.tree import flatten

QUICK = {"xla_backend_optimization_level": 0}


class Logarithms(nn.Module):
    """A black photograph has none."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return jnp.log(x.reshape(x.shape[0], -1)), {}


MODULE = Classifier(base=Logarithms(), head=Head(outputs=1, hidden=0))
STAGE = Stage(
    "tiny",
    TRAIN_ALL,
    lr=0.01,
    epochs=3,
    optimizer=Optimizer("sgd", momentum=0.9),
    batch_size=4,
    images_per_epoch=16,
)
STAGE = replace(STAGE, keep_going=True)


def split(count, *, black=()):
    rng = np.random.default_rng(count)
    pixels = rng.integers(1, 256, (count, 2, 2, 3)).astype(np.uint8)
    pixels[list(black)] = 0
    return ImageSet(
        pixels, rng.integers(0, 2, count).astype(np.int32), tuple(map(str, range(count)))
    )


def train(stage, *, black):
    sets = ImageSets("test", ("cat", "dog"), split(10, black=black), split(4), "0" * 64)
    variables = build.init(MODULE, key=jax.random.key(9), size=2)
    read = inputs.from_images(sets, augment=None, preprocess=UNIT)
    over = devices.mesh(jax.devices()[:1])
    given = {"ready": Ready(MODULE, variables, read), "seed": 0, "over": over}
    return loop.train_stage(stage, **given, progress=False), given


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", lambda: QUICK)


def linear(variables, x, *, train, rate=0.0, keys=None, mutable=False):
    """Without a ReLU: on CPU XLA makes 0 of the maximum of NaN and 0."""
    hidden = x.reshape(len(x), -1) @ variables["params"]["base"]["kernel"]
    return (hidden @ variables["params"]["head"]["kernel"], {}), {
        "batch_stats": {"mean": hidden.mean(0)}
    }


@functools.cache
def compiled(*, skip):
    rng = np.random.default_rng(0)
    params = {"base": {"kernel": jnp.asarray(rng.normal(size=(3072, 3)), jnp.float32)}}
    params["head"] = {"kernel": jnp.asarray(rng.normal(size=(3, 1)), jnp.float32)}
    tx = transform.make(Optimizer("adam"), TRAIN_ALL, flatten(params))
    options = {"tx": tx, "rules": TRAIN_ALL, "ema": 0.9}
    state = step.init_state(params, model_state={"batch_stats": {"mean": jnp.zeros(3)}}, **options)
    return jax.jit(step.make_train_step(apply=linear, skip_nonfinite=skip, **options)), state


def small(*, skip):
    """`(train step, state)` of a normalised VGG16 whose first blocks are frozen."""
    rules = (("head/.*", 1.0), ("base/block5_.*", 0.1), ("base/.*", None))
    network = Network(hidden=4, options={"width": 0.0625, "norm": True})
    shapes = jax.eval_shape(
        build.classifier(network, classes=2).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))
    )
    layers = rules_lib.frozen_layers(shapes["params"], rules)
    module = build.classifier(network, classes=2, frozen=layers)
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1), shapes)
    tx = transform.make(Optimizer("adam"), rules, flatten(variables["params"]))
    options = {"tx": tx, "rules": rules}
    state = step.init_state(
        variables["params"], model_state={"batch_stats": variables["batch_stats"]}, **options
    )
    return step.make_train_step(apply=module.apply, skip_nonfinite=skip, **options), state


def batch(value):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(4, 32, 32, 3)).astype(np.float32)
    image[2, 3, 4, 1] = value
    return {
        "image": image,
        "label": np.int32([0, 1, 1, 0]),
        "key": jax.random.split(jax.random.key(0), 4),
    }


HYPER = {"lr": np.float32(0.1), "dropout": np.float32(0.0)}


def equal(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y, equal_nan=True), a, b))


def test_a_step_that_is_not_finite_changes_nothing_but_the_counter():
    run, state = compiled(skip=True)
    for value in (np.nan, np.inf):
        after, metrics = run(state, batch(value), HYPER)
        assert int(after.step) == 1
        assert equal(after.replace(step=state.step), state)
        assert {name: float(x) for name, x in metrics.items()} == {
            "loss": 0.0, "correct": 0.0, "count": 0.0, "grad_norm": 0.0, "skipped": 1.0
        }  # fmt: skip


def test_a_step_that_is_finite_is_as_without():
    (skips, state), (plain, _) = compiled(skip=True), compiled(skip=False)
    after, metrics = skips(state, batch(0.5), HYPER)
    expected, numbers = plain(state, batch(0.5), HYPER)
    assert equal(after, expected)
    assert not equal(after.replace(step=state.step), state)
    assert int(metrics.pop("skipped")) == 0
    assert equal(metrics, numbers)


def test_what_is_frozen_is_handed_through_and_the_program_without_it_looks_for_nothing():
    for skip in (True, False):
        train_step, state = small(skip=skip)
        traced = jax.jit(train_step).trace(state, batch(0.5), HYPER)
        rules = (("head/.*", 1.0), ("base/block5_.*", 0.1), ("base/.*", None))
        assert frozen.moving(traced, state, Stage("s", rules, 0.1, epochs=1)) == []
        assert ("is_finite" in str(traced.jaxpr)) == skip


def test_a_stage_counts_what_it_passes_over():
    """A black photograph among ten, in every batch that draws it."""
    drawn = draws(0, 48, examples=10, seed=0)[1].reshape(3, 4, 4)
    bad = (drawn == 7).any(axis=2)
    assert 0 < bad.sum() < bad.size
    first = int(np.flatnonzero(bad.reshape(-1))[0])
    with pytest.raises(InputError, match=f"stage 'tiny': the loss of step {first} is not finite"):
        train(STAGE, black=[7])
    (state, history), given = train(replace(STAGE, skip_nonfinite=True), black=[7])
    assert [record["skipped"] for record in history.epochs[1:]] == bad.sum(axis=1).tolist()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert int(state.step) == 12
    for record in history.epochs[1:]:
        numbers = [*record["train"].values(), record["grad_norm"], record["validation"]["loss"]]
        assert np.isfinite(numbers).all()
    found = lr_finder.find(replace(STAGE, skip_nonfinite=True), **given, steps=8)
    assert len(found.losses) == first  # the range test ends at it all the same


def test_an_epoch_of_nothing_else_ends_the_run():
    with pytest.raises(
        InputError, match="no step of epoch 1 had a finite loss and gradient; lower the rate"
    ):
        train(replace(STAGE, skip_nonfinite=True), black=range(10))
