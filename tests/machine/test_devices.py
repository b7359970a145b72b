import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import TRAIN_ALL
from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys, dropout_keys
from tljax.errors import InputError
from tljax.machine import devices
from tljax.models import ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.models.layers import Conv
from tljax.optim import transform
from tljax.train import step
from tljax.tree import flatten


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    """Compiling takes most of the time here,
    and most of that is the optimiser over random draws.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


class Base(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return Conv(4, name="conv1")(x, pool=True)[1], {}


MODULE = Classifier(
    base=Base(), head=Head(outputs=1, hidden=8, dropout_flat=True, dropout_hidden=True)
)
HYPER = {"lr": np.float32(1e-2), "dropout": np.float32(0.5)}
BATCH = 16


def augmented_step(state_and_tx, *, axis_name=None):
    """Augmentation and the step, as the loop composes them."""
    _, tx = state_and_tx
    train_step = step.make_train_step(
        apply=MODULE.apply, tx=tx, rules=TRAIN_ALL, axis_name=axis_name
    )

    def whole(state, batch, hyper):
        image = augment_batch(batch["image"], keys=batch["augment"], ranges=Augment()) / 255
        return train_step(
            state, {"image": image, "label": batch["label"], "key": batch["dropout"]}, hyper
        )

    return whole


@pytest.fixture(scope="module")
def start():
    params = MODULE.init(jax.random.key(0), jnp.zeros((1, 6, 6, 3)))["params"]
    tx = transform.make(transform.Optimizer("sgd"), TRAIN_ALL, flatten(params))
    return step.init_state(params, model_state={}, tx=tx, rules=TRAIN_ALL), tx


def batches(count=3):
    rng = np.random.default_rng(0)
    for p in range(count):
        drawn = np.full(BATCH, p), np.arange(BATCH)
        augment, dropout = augment_keys(*drawn), dropout_keys(jax.random.key(1), *drawn)
        image, label = (
            rng.integers(0, 256, (BATCH, 6, 6, 3), np.uint8),
            rng.integers(0, 2, BATCH, np.int32),
        )
        yield {"image": image, "label": label, "augment": augment, "dropout": dropout}


def after_three_steps(stepped, state, hyper=HYPER):
    for batch in batches():
        state, metrics = stepped(state, batch, hyper)
    return jax.device_get(state), jax.device_get(metrics)


@pytest.fixture(scope="module")
def on_one(start):
    over = devices.mesh(jax.devices()[:1])
    stepped = devices.jit_step(augmented_step(start), over)
    return stepped, after_three_steps(stepped, devices.put(start[0], devices.replicated(over)))


def test_a_mesh_of_eight_gives_what_one_device_gives(start, on_one):
    over = devices.mesh()
    stepped = devices.jit_step(augmented_step(start), over)
    found = after_three_steps(stepped, devices.put(start[0], devices.replicated(over)))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, on_one[1]
    )


def test_pmap_gives_what_one_device_gives(start, on_one):
    """Dropout and augmentation included: both are keyed by example, not by device."""
    stepped = devices.pmap_step(augmented_step(start, axis_name=devices.AXIS))
    found = after_three_steps(stepped, jax.tree.map(jnp.array, start[0]))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, on_one[1]
    )


def test_metrics_are_of_the_whole_batch_and_dropout_was_on(start, on_one):
    stepped, (state, metrics) = on_one
    assert metrics["count"] == BATCH
    assert state.step == 3
    over = devices.mesh(jax.devices()[:1])
    dry = devices.put(start[0], devices.replicated(over))
    without, _ = after_three_steps(stepped, dry, {**HYPER, "dropout": np.float32(0)})
    kernel = without.params["head"]["fc1"]["kernel"]
    assert np.abs(kernel - state.params["head"]["fc1"]["kernel"]).max() > 1e-4


def test_a_donated_step_leaves_what_was_put_alone(start, on_one):
    """`on_one` gave its copy of the first state away; the caller's still has its values,
    keys among them.
    """
    before = jax.device_get(start[0].params)  # raises where an array was deleted
    again = devices.put(start[0], devices.replicated(devices.mesh(jax.devices()[:1])))
    on_one[0](again, next(batches()), HYPER)
    jax.tree.map(np.testing.assert_array_equal, before, jax.device_get(start[0].params))
    key = jax.random.key(0)
    put = devices.put({"key": key}, devices.replicated(devices.mesh()))["key"]
    np.testing.assert_array_equal(jax.random.key_data(put), jax.random.key_data(key))


@pytest.mark.parametrize(("batch", "count"), [(32, 8), (20, 4), (7, 1), (16, 8)])
def test_the_mesh_has_as_many_devices_as_share_a_batch_equally(batch, count):
    over = devices.mesh_for(batch)
    assert over.size == count
    devices.check_batch(batch, over)


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(
        InputError, match="batch size 12 cannot be split over 8 devices; take a multiple of 8"
    ):
        devices.check_batch(12, devices.mesh())


def test_shardings_put_the_batch_axis_where_it_is():
    over = devices.mesh()
    assert devices.split_batch(over, axis=1).shard_shape((5, 16, 3)) == (5, 2, 3)
    assert devices.split_batch(over).shard_shape((16, 3)) == (2, 3)
    assert devices.replicated(over).shard_shape((16, 3)) == (16, 3)
