import jax
import numpy as np
import pytest

from tljax.data.draws import draws, example_keys


def test_each_pass_goes_through_all_examples_once():
    passes, example = draws(0, 30, examples=10, seed=3)
    np.testing.assert_array_equal(passes, np.repeat([0, 1, 2], 10))
    np.testing.assert_array_equal(np.sort(example.reshape(3, 10)), np.tile(np.arange(10), (3, 1)))
    assert passes.dtype == example.dtype == np.int32


def test_the_order_is_what_it_was():
    """Written out, so that a change of the generator, which would break resumed runs, cannot pass unnoticed."""
    _, example = draws(0, 10, examples=5, seed=0)
    assert example.tolist() == [4, 3, 0, 1, 2, 2, 4, 1, 0, 3]


def test_passes_and_seeds_have_orders_of_their_own():
    orders = [tuple(draws(p * 20, 20, examples=20, seed=seed)[1]) for seed in (0, 1, 2) for p in range(4)]
    assert len(set(orders)) == 12


@pytest.mark.parametrize("length", [1, 3, 7, 16])
def test_a_call_is_a_slice_of_one_stream(length):
    whole = np.stack(draws(0, 33, examples=7, seed=5))
    cuts = [draws(start, min(length, 33 - start), examples=7, seed=5) for start in range(0, 33, length)]
    np.testing.assert_array_equal(np.concatenate([np.stack(cut) for cut in cuts], axis=1), whole)


def test_far_into_the_stream_nothing_overflows():
    passes, example = draws(3 * 2**33, 4, examples=2**10, seed=0)
    np.testing.assert_array_equal(passes, [3 * 2**23] * 4)
    assert ((example >= 0) & (example < 2**10)).all()


@pytest.fixture(scope="module")
def keys():
    """Key data `[2 kinds, 3 passes * 4 examples, 2]` of one call."""
    passes, example = np.divmod(np.arange(12, dtype=np.int32), 4)
    return np.stack([jax.random.key_data(k) for k in example_keys(jax.random.key(7), passes, example)])


def test_keys_are_the_seed_with_pass_and_example_folded_in(keys):
    folded = jax.random.fold_in(jax.random.fold_in(jax.random.key(7), 2), 1)
    np.testing.assert_array_equal(keys[:, 2 * 4 + 1], jax.random.key_data(jax.random.split(folded)))


def test_no_two_draws_share_a_key(keys):
    """Not even an example's augmentation with its own dropout, or example 2 of pass 1 with example 1 of pass 2."""
    assert len({tuple(k) for k in keys.reshape(-1, 2)}) == 24


def test_keys_do_not_depend_on_the_rest_of_the_batch(keys):
    passes, example = np.array([2, 0], np.int32), np.array([3, 1], np.int32)
    found = example_keys(jax.random.key(7), passes, example)
    np.testing.assert_array_equal(np.stack([jax.random.key_data(k) for k in found]), keys[:, [11, 1]])
