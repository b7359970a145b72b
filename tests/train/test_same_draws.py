"""What augmentation draws has the same bits in a batch of any size,
on any number of devices, under jit and pmap.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data.augment import Augment, draw
from tljax.data.draws import augment_keys, dropout_keys
from tljax.machine import devices

COUNT = 16
PASSES, EXAMPLES = np.arange(COUNT, dtype=np.int32) // 8, np.arange(COUNT, dtype=np.int32) * 7 % 11


def drawn(passes, example):
    """`[N, ...]`: the augmentation's numbers and the key of the dropout of each draw."""
    dropout = dropout_keys(jax.random.key(5), passes, example)
    found = draw(augment_keys(passes, example), height=24, width=24, ranges=Augment())
    numbers = [jnp.asarray(value, jnp.float32).reshape(len(example), -1) for value in found]
    return jnp.concatenate(numbers, axis=1), jax.random.key_data(dropout)


def bits(pair):
    return [np.asarray(x).reshape(COUNT, -1).tobytes() for x in pair]


@pytest.fixture(scope="module")
def whole():
    numbers, keys = jax.jit(drawn)(PASSES, EXAMPLES)
    assert len(np.unique(np.asarray(numbers), axis=0)) == COUNT
    return bits((numbers, keys))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_batches_of_another_size(whole, size):
    parts = [
        jax.jit(drawn)(PASSES[at : at + size], EXAMPLES[at : at + size])
        for at in range(0, COUNT, size)
    ]
    assert bits(np.concatenate([np.asarray(part[i]) for part in parts]) for i in range(2)) == whole


@pytest.mark.parametrize("count", [2, 8])
def test_a_mesh(whole, count):
    over = devices.mesh(jax.devices()[:count])
    given = [jax.device_put(x, devices.split_batch(over)) for x in (PASSES, EXAMPLES)]
    assert bits(jax.jit(drawn, out_shardings=devices.split_batch(over))(*given)) == whole


def test_pmap(whole):
    assert bits(jax.pmap(drawn)(PASSES.reshape(8, -1), EXAMPLES.reshape(8, -1))) == whole


def test_without_jit(whole):
    assert bits(drawn(PASSES, EXAMPLES))[1] == whole[1]
