import numpy as np
import pytest

from tljax.data.folds import drawn
from tljax.errors import InputError


def test_a_draw_has_each_class_in_its_proportion():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    places = drawn(labels, count=20, seed=0)
    assert np.bincount(labels[places]).tolist() == [12, 6, 2]
    assert (np.diff(places) > 0).all()
    other = drawn(labels, count=20, seed=1)
    assert set(places) != set(other)
    np.testing.assert_array_equal(places, drawn(labels, count=20, seed=0))
    np.testing.assert_array_equal(drawn(labels, count=100, seed=5), np.arange(100))


def test_every_example_is_drawn_as_often_as_others():
    labels = np.repeat([0, 1], [15, 5])
    counts = np.bincount(
        np.concatenate([drawn(labels, count=4, seed=seed) for seed in range(500)]), minlength=20
    )
    assert counts.sum() == 2000
    assert 70 < counts.min() <= counts.max() < 135


@pytest.mark.parametrize("count", [1, 21])
def test_a_draw_that_cannot_be_is_refused(count):
    with pytest.raises(InputError, match=f"expected from 2 to 20 examples, found {count}"):
        drawn(np.repeat([0, 1], 10), count=count, seed=0)
