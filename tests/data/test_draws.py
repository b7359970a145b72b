import jax
import numpy as np
import pytest

from tljax.data.draws import augment_keys, draws, dropout_keys


def test_each_pass_goes_through_all_examples_once():
    passes, example = draws(0, 30, examples=10, seed=3)
    np.testing.assert_array_equal(passes, np.repeat([0, 1, 2], 10))
    np.testing.assert_array_equal(np.sort(example.reshape(3, 10)), np.tile(np.arange(10), (3, 1)))
    assert passes.dtype == example.dtype == np.int32


def test_the_order_is_what_it_was():
    """Written out, so that a change of the generator, which would break resumed runs,
    cannot pass unnoticed.
    """
    _, example = draws(0, 10, examples=5, seed=0)
    assert example.tolist() == [4, 3, 0, 1, 2, 2, 4, 1, 0, 3]


def test_passes_and_seeds_have_orders_of_their_own():
    orders = [
        tuple(draws(p * 20, 20, examples=20, seed=seed)[1]) for seed in (0, 1, 2) for p in range(4)
    ]
    assert len(set(orders)) == 12


@pytest.mark.parametrize("length", [1, 3, 7, 16])
def test_a_call_is_a_slice_of_one_stream(length):
    whole = np.stack(draws(0, 33, examples=7, seed=5))
    cuts = [
        draws(start, min(length, 33 - start), examples=7, seed=5) for start in range(0, 33, length)
    ]
    np.testing.assert_array_equal(np.concatenate([np.stack(cut) for cut in cuts], axis=1), whole)


def test_far_into_the_stream_nothing_overflows():
    passes, example = draws(3 * 2**33, 4, examples=2**10, seed=0)
    np.testing.assert_array_equal(passes, [3 * 2**23] * 4)
    assert ((example >= 0) & (example < 2**10)).all()


def data(passes, example, *, seed, stream=None):
    """Key data `[2 kinds, draws, 2]`."""
    found = (
        augment_keys(passes, example, stream=stream),
        dropout_keys(jax.random.key(seed), passes, example),
    )
    return np.stack([jax.random.key_data(k) for k in found])


PASSES, EXAMPLE = np.divmod(np.arange(12, dtype=np.int32), 4)


@pytest.fixture(scope="module", params=[0, 7])
def keys(request):
    """Of one call for 3 passes over 4 examples, for a seed."""
    return data(PASSES, EXAMPLE, seed=request.param)


def test_keys_have_pass_and_example_folded_in_and_dropout_alone_the_seed():
    found = data(PASSES, EXAMPLE, seed=7)[:, 2 * 4 + 1]
    for key, root, half in zip(found, (0, 7), (0, 1), strict=True):
        folded = jax.random.fold_in(jax.random.fold_in(jax.random.key(root), 2), 1)
        np.testing.assert_array_equal(key, jax.random.key_data(jax.random.split(folded))[half])


def test_a_second_set_is_augmented_otherwise():
    both = [data(PASSES, EXAMPLE, seed=7, stream=stream)[0] for stream in (None, 1, 2)]
    assert len({tuple(k) for k in np.concatenate(both)}) == 36


def test_no_two_draws_share_a_key(keys):
    """Not even an example's augmentation with its own dropout,
    or example 2 of pass 1 with example 1 of pass 2.
    """
    assert len({tuple(k) for k in keys.reshape(-1, 2)}) == 24


def test_keys_do_not_depend_on_the_rest_of_the_batch(keys):
    passes, example = np.array([2, 0], np.int32), np.array([3, 1], np.int32)
    alike = [data(passes, example, seed=seed) for seed in (0, 7)]
    assert any(np.array_equal(found, keys[:, [11, 1]]) for found in alike)
