"""The range test on logistic regression by hand, and that it leaves no trace."""

from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage
from tljax.data import ImageSet, ImageSets
from tljax.data.augment import Augment
from tljax.data.draws import draws
from tljax.data.preprocess import TORCH, UNIT
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.machine import devices
from tljax.models import build, ops, vgg
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.schedules import OneCycle, Sweep
from tljax.optim.transform import Optimizer
from tljax.train import loop, lr_finder
from tljax.train.ready import Ready


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    """Compiling takes most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


class Flat(nn.Module):
    """A base without parameters: with a linear head, logistic regression on pixels."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


LINEAR = Classifier(base=Flat(), head=Head(outputs=1, hidden=0))
SGD = Optimizer("sgd", momentum=0.0)
RULES = (("head/.*/bias", 0.25), (".*", 1.0))  # two layer groups
STAGE = Stage("tiny", RULES, lr=0.5, epochs=3, optimizer=SGD, batch_size=8)
SWEEP = Sweep(1e-3, 1.0)


def images(count, *, size=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count).astype(np.int32)
    pixels = rng.integers(0, 156, (count, size, size, 3)) + 100 * labels[:, None, None, None]
    return ImageSet(pixels.astype(np.uint8), labels, tuple(f"{seed}/{i}" for i in range(count)))


SETS = ImageSets("test", ("cat", "dog"), images(20), images(11, seed=1), "0" * 64)


def ready(stage, *, size=4):
    variables = build.init(LINEAR, key=jax.random.key(9), size=size)
    read = inputs.from_images(SETS, augment=stage.augment, preprocess=UNIT)
    return Ready(LINEAR, variables, read)


def find(stage=STAGE, *, given=None, seed=3, steps=32, **options):
    options = {"over": devices.mesh(jax.devices()[:1]), "sweep": SWEEP} | options
    return lr_finder.find(stage, given or ready(stage), seed=seed, steps=steps, **options)


def by_hand(rates, *, seed, bias):
    """Gradient descent in float64 at these rates, in the order of `draws`;
    `bias` times the rate for the bias.
    """
    start = build.init(LINEAR, key=jax.random.key(9), size=4)["params"]["head"]["predictions"]
    w, b = np.asarray(start["kernel"], np.float64)[:, 0], 0.0
    x, y = SETS.train.images.reshape(20, -1) / 255, SETS.train.labels
    losses = []
    for step, rate in enumerate(rates):
        _, now = draws(step * 8, 8, examples=20, seed=seed)
        z = x[now] @ w + b
        losses.append((np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - z * y[now]).mean())
        g = (1 / (1 + np.exp(-z)) - y[now]) / 8
        w, b = w - rate * g @ x[now], b - bias * rate * g.sum()
    return np.array(losses)


def test_the_losses_are_gradient_descent_by_hand_at_climbing_rates():
    """The rate of step i is 1e-3 * 1000 ** (i / 31), and a quarter of it for the bias:
    ratios between groups stay.
    """
    found = find()
    rates = 1e-3 * 1000 ** (np.arange(32) / 31)
    np.testing.assert_allclose(found.rates, rates, rtol=1e-12)
    np.testing.assert_allclose(found.losses, by_hand(rates, seed=3, bias=0.25), atol=1e-5)
    assert np.abs(found.losses - by_hand(rates, seed=3, bias=1.0)).max() > 1e-3


def test_the_smoothed_loss_by_formula():
    """After n losses: the sum of 0.98 ** (n - i) l_i over the sum of the weights."""
    losses = [3.0, 1.0, 2.0, 0.5]
    smoothed = [average for _, average in lr_finder.smooth(losses)]
    for n in range(1, 5):
        assert smoothed[n - 1] == pytest.approx(
            np.average(losses[:n], weights=0.98 ** np.arange(n)[::-1])
        )
    np.testing.assert_allclose(
        find().smoothed, [average for _, average in lr_finder.smooth(find().losses)]
    )


def test_a_test_is_its_seed():
    first, again, other = find(), find(), find(seed=4)
    assert first.losses.tobytes() == again.losses.tobytes()
    assert first.suggestions == again.suggestions
    assert first.losses.tobytes() != other.losses.tobytes()


def everything(given):
    """Bits of variables and data that were given."""
    read = given.inputs
    arrays = [
        *jax.tree.leaves(given.variables),
        *(getattr(s, n) for s in (read.train, read.validation) for n in N),
    ]
    return [np.asarray(array).tobytes() for array in arrays]


N = ("inputs", "labels")


def test_a_test_leaves_no_trace():
    """Between two stages: what it was given keeps its bits,
    and training goes on as if it had never been.
    """
    stage = replace(STAGE, augment=Augment(), epochs=1)
    over, quiet = devices.mesh(jax.devices()[:1]), {"progress": False}
    given = ready(stage)
    state, _ = loop.train_stage(stage, given, seed=0, over=over, **quiet)
    given = replace(
        given, variables={"params": state.params}
    )  # live on the device, as the find's own copy is
    given_bits, state_bits = (
        everything(given),
        [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)],
    )
    straight, _ = loop.train_stage(stage, given, seed=7, over=over, **quiet)
    chance = np.random.get_state()[1].tobytes()
    lr_finder.find(stage, given, seed=7, over=over, sweep=SWEEP, steps=8)
    assert np.random.get_state()[1].tobytes() == chance
    assert everything(given) == given_bits
    assert [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)] == state_bits
    after, _ = loop.train_stage(stage, given, seed=7, over=over, **quiet)
    same = jax.tree.map(
        lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes(), after, straight
    )
    assert all(jax.tree.leaves(same))


def test_divergence_ends_the_sweep():
    """The last smoothed loss is the first above 4 times the best;
    the segment that follows is never computed.
    """
    stage = replace(STAGE, rules=TRAIN_ALL)
    found = find(stage, sweep=Sweep(1e-3, 1e4), steps=64)
    assert 5 < len(found.losses) < 64
    over = found.smoothed > 4 * np.minimum.accumulate(found.smoothed)
    assert over.tolist() == [False] * (len(over) - 1) + [True]
    assert set(found.suggestions) == {"steepest", "minimum/10", "valley", "slide"}
    assert max(found.suggestions.values()) < found.rates[-1]


def test_a_loss_that_is_not_finite_ends_the_sweep(monkeypatch):
    """At a rate of 1e38 the weights overflow after a step or two;
    and nothing after such a loss is computed.
    """
    found = find(sweep=Sweep(1e38, 3e38))
    assert len(found.losses) in (1, 2)
    assert np.isfinite([*found.losses, *found.smoothed, *found.rates]).all()

    def losses(*_, **__):
        yield from (0.5, 0.4, np.inf)
        raise AssertionError("went on")

    monkeypatch.setattr(lr_finder, "_losses", losses)
    assert find().losses.tolist() == [0.5, 0.4]


def test_no_suggestion_is_an_error_of_valley_alone():
    given = ready(STAGE)
    given = replace(given, variables=jax.tree.map(lambda leaf: leaf * np.nan, given.variables))
    empty = lr_finder.find(STAGE, given, seed=0, steps=8)
    assert (empty.losses.size, empty.rates.size, empty.smoothed.size, empty.suggestions) == (
        0,
        0,
        0,
        {},
    )
    with pytest.raises(
        InputError,
        match="stage 'tiny': no rate to be found: the loss is not finite at the lowest rates",
    ):
        lr_finder.valley(STAGE, empty)


def test_the_valley_does_not_depend_on_the_stage_s_rate():
    over, given = devices.mesh(jax.devices()[:1]), ready(STAGE)
    expected = lr_finder.find(STAGE, given, seed=3, over=over).suggestions["valley"]
    for lr in (0.5, OneCycle(0.1)):
        stage = replace(STAGE, lr=lr)
        assert lr_finder.valley(stage, lr_finder.find(stage, given, seed=3, over=over)) == expected


def test_eight_devices_find_what_one_finds():
    one, eight = find(), find(over=None)
    np.testing.assert_allclose(eight.losses, one.losses, atol=1e-6)


def test_a_cached_prefix_finds_what_photographs_find(tmp_path):
    """Views of a frozen VGG16, not augmented: the same losses as from the photographs."""
    module = build.classifier(build.Network(hidden=0, options={"width": 0.0625}), classes=2)
    sets = ImageSets(
        "test", ("cat", "dog"), images(20, size=32), images(4, size=32, seed=1), "0" * 64
    )
    variables = build.init(module, key=jax.random.key(9), size=32)
    base = build.base_variables(variables)
    prefix = inputs.Prefix(
        vgg.ARCHITECTURE, module.base, base, vgg.LAYERS[-1], TORCH, None, views=1
    )
    cached = inputs.from_prefix(sets, prefix, store=tmp_path / "features.h5", progress=False)
    fresh = inputs.from_images(sets, augment=None, preprocess=TORCH)
    stage = replace(STAGE, rules=HEAD_ONLY)
    found = [find(stage, given=Ready(module, variables, read), steps=8) for read in (cached, fresh)]
    np.testing.assert_allclose(found[0].losses, found[1].losses, atol=1e-5)
