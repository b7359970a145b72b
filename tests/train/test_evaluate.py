import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.inputs.feed import Examples
from tljax.machine import devices
from tljax.train import evaluate
from tljax.train.step import State


def linear(variables, x, *, train):
    assert not train
    return x @ variables["params"]["w"], {}


def problem(count, *, outputs):
    rng = np.random.default_rng(0)
    x, w = (
        rng.integers(0, 256, (count, 5), np.uint8),
        rng.normal(size=(5, outputs)).astype(np.float32),
    )
    labels = rng.integers(0, max(2, outputs), count).astype(np.int32)
    return Examples(x, labels), State(jnp.int32(0), {"w": jnp.asarray(w)}, {}, None)


def by_hand(examples, state):
    """One example after another, in float64."""
    losses, correct = [], 0
    for x, label in zip(examples.inputs, examples.labels, strict=True):
        z = x / 255.0 @ np.asarray(state.params["w"], np.float64)
        z = np.array([0.0, z[0]]) if len(z) == 1 else z  # a sigmoid is a softmax over (0, z)
        losses.append(np.log(np.exp(z).sum()) - z[label])
        correct += int(z.argmax() == label)
    return {"loss": np.mean(losses), "accuracy": correct / len(examples), "n": len(examples)}


def evaluated(examples, state, over, batch_size=8):
    prepare = lambda x: x.astype(jnp.float32) / 255  # noqa: E731
    options = {"apply": linear, "prepare": prepare, "examples": examples, "batch_size": batch_size}
    return evaluate.make_evaluate(**options, over=over)(
        devices.put(state, devices.replicated(over))
    )


@pytest.mark.parametrize(
    ("count", "outputs", "place", "chunk"),
    [
        (1, 1, "replicated", 32),
        (16, 1, "sharded", 32),
        (21, 1, "replicated", 2),
        (21, 3, "streamed", 2),
        (33, 1, "streamed", 1),
        (33, 1, "sharded", 2),
    ],
)
def test_every_example_counts_once(monkeypatch, count, outputs, place, chunk):
    monkeypatch.setattr(evaluate, "_CHUNK", chunk)
    monkeypatch.setattr(evaluate, "place", lambda inputs, over: place)
    examples, state = problem(count, outputs=outputs)
    found = evaluated(examples, state, devices.mesh())
    assert found == pytest.approx(by_hand(examples, state), abs=1e-6)
    assert found["n"] == count
    assert isinstance(found["n"], int)


def test_one_device_and_eight_agree():
    examples, state = problem(21, outputs=1)
    one, eight = (evaluated(examples, state, devices.mesh(jax.devices()[:n])) for n in (1, 8))
    assert one == pytest.approx(eight, abs=1e-6)


def test_a_batch_that_does_not_divide_is_refused():
    examples, state = problem(21, outputs=1)
    with pytest.raises(InputError, match="batch size 12 cannot be split over 8 devices"):
        evaluated(examples, state, devices.mesh(), batch_size=12)


@pytest.mark.parametrize(
    ("count", "batch", "chunk"), [(1, 8, 4), (21, 8, 2), (64, 8, 4), (65, 8, 4)]
)
def test_batches_hold_each_example_once_in_equal_shapes(monkeypatch, count, batch, chunk):
    monkeypatch.setattr(evaluate, "_CHUNK", chunk)
    batches = evaluate.batches_of(count, batch)
    assert len({rows.shape for rows, _ in batches}) == 1
    assert max(len(rows) for rows, _ in batches) <= chunk
    kept = np.concatenate([rows[mask == 1] for rows, mask in batches])
    np.testing.assert_array_equal(kept, np.arange(count))
