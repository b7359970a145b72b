"""The distance by closed forms and by NumPy; the loss by hand;
that no label of the target is read.
"""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.machine import devices
from tljax.methods import coral
from tljax.models import build, ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.objective import PLAIN, Objective
from tljax.optim.transform import Optimizer
from tljax.tasks.classification import CLASSIFICATION
from tljax.train import loop
from tljax.train.ready import Ready
from tljax.train.second_batch import Beside

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


def test_the_distance_in_closed_form():
    """One feature: covariances are variances.

    Scaled by a: C becomes a^2 C, and C - a^2 C = (1 - a^2) C.
    """
    source, target = (
        jnp.array([[1.0], [3.0]]),
        jnp.array([[0.0], [0.0], [6.0]]),
    )  # variances 2 and 12
    assert float(coral.distance(source, target)) == pytest.approx((2 - 12) ** 2 / 4)
    x = np.float32(RNG.normal(size=(7, 3)))
    norm2 = (np.cov(x.T) ** 2).sum()
    assert float(coral.distance(x, 2 * x + 5)) == pytest.approx(
        (1 - 4) ** 2 * norm2 / (4 * 9), rel=1e-5
    )
    assert float(coral.distance(x, x[::-1] - 4)) == pytest.approx(
        0, abs=1e-10
    )  # order and mean do not count


def test_the_distance_by_numpy():
    source, target = RNG.normal(size=(9, 5)), 2 + RNG.normal(size=(6, 5)) * np.arange(1, 6)
    expected = np.linalg.norm(np.cov(source.T) - np.cov(target.T), "fro") ** 2 / (4 * 5**2)
    assert float(coral.distance(jnp.asarray(source), jnp.asarray(target))) == pytest.approx(
        expected, rel=1e-5
    )


def test_its_gradient_is_the_papers():
    """Equation 4: (1 / (d^2 (n - 1))) (centred D) (C_S - C_T), for the source."""
    source, target = RNG.normal(size=(8, 4)), RNG.normal(size=(8, 4)) * 2
    found = jax.grad(coral.distance)(jnp.asarray(source), jnp.asarray(target))
    expected = (source - source.mean(0)) @ (np.cov(source.T) - np.cov(target.T)) / (4**2 * 7)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


class Flat(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


MODULE = Classifier(base=Flat(), head=Head(outputs=1, hidden=3))
STAGE = Stage(
    "tiny", TRAIN_ALL, 0.1, epochs=1, optimizer=Optimizer("sgd", momentum=0.0), batch_size=4
)


def split(count, seed, *, scale=1.0):
    rng = np.random.default_rng(seed)
    images = (rng.integers(0, 256, (count, 2, 2, 3)) * scale).astype(np.uint8)
    return ImageSet(
        images, rng.integers(0, 2, count).astype(np.int32), tuple(map(str, range(count)))
    )


SOURCE = ImageSets("source", ("cat", "dog"), split(8, 1), split(6, 2), "0" * 64)
TARGET = ImageSets(
    "target", ("cat", "dog"), split(12, 3, scale=0.3), split(6, 4, scale=0.3), "1" * 64
)


def train(weight, *, target=TARGET, epochs=1):
    read, other = (
        inputs.from_images(sets, augment=None, preprocess=UNIT) for sets in (SOURCE, target)
    )
    variables = build.init(MODULE, key=jax.random.key(0), size=2)
    beside = Beside(other, 6, coral.aligned(weight=weight))
    ready = Ready(MODULE, variables, read, second=beside)
    stage = replace(STAGE, epochs=epochs)
    return loop.train_stage(
        stage, ready, seed=0, over=devices.mesh(jax.devices()[:1]), progress=False
    )


def bits(state):
    return [leaf.tobytes() for leaf in jax.tree.leaves(jax.device_get(state.params))]


def test_no_label_of_the_target_is_read():
    others = replace(TARGET, train=replace(TARGET.train, labels=1 - TARGET.train.labels))
    assert bits(train(5.0)[0]) == bits(train(5.0, target=others)[0])
    pixels = replace(TARGET, train=split(12, 9, scale=0.3))
    assert bits(train(5.0)[0]) != bits(train(5.0, target=pixels)[0])


def test_the_loss_by_hand():
    """Cross entropy of the source's rows alone,
    and the distance of the hidden features of the two.
    """
    variables = build.init(MODULE, key=jax.random.key(0), size=2)
    own, other = (jnp.float32(RNG.normal(size=(n, 2, 2, 3))) for n in (4, 6))
    label = jnp.array([0, 1, 1, 0])
    keys = jax.random.split(jax.random.key(0), 10)
    batch = {
        "image": own,
        "label": label,
        "key": keys[:4],
        "beside": {"image": other, "key": keys[4:]},
    }
    total, (_, metrics) = coral.aligned(weight=3.0)(MODULE.apply, PLAIN, CLASSIFICATION)(
        variables, batch, jnp.float32(0)
    )
    head = variables["params"]["head"]
    hidden = [
        nn.relu(x.reshape(len(x), -1) @ head["fc1"]["kernel"] + head["fc1"]["bias"])
        for x in (own, other)
    ]
    apart = coral.distance(*hidden)
    logits = hidden[0] @ head["predictions"]["kernel"] + head["predictions"]["bias"]
    entropy = CLASSIFICATION.losses(logits, label).mean()
    assert float(total) == pytest.approx(float(entropy + 3 * apart), rel=1e-5)
    assert float(metrics["coral"]) == pytest.approx(4 * float(apart), rel=1e-5)
    assert float(metrics["loss"]) == pytest.approx(4 * float(entropy), rel=1e-5)
    assert int(metrics["count"]) == 4


def test_a_larger_weight_brings_the_covariances_nearer():
    """And the record tells how near, a mean over the steps."""
    far, near = (
        train(weight, epochs=10)[1].epochs[-1]["train"]["coral"] for weight in (1e-6, 100.0)
    )
    assert near < 0.7 * far


def test_mixup_is_refused():
    with pytest.raises(InputError, match="without mixup"):
        coral.aligned(weight=1.0)(MODULE.apply, Objective(mixup=0.2), CLASSIFICATION)
