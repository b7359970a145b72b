import numpy as np
import pytest

from tljax.errors import InputError
from tljax.methods import head2toe

WIDTHS = {"early": 40, "middle": 40, "late": 20}


def layered(count, *, seed=0):
    """Three layers, of which a few features of "middle" alone tell the class; "late" is loud."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.int32)
    rows = rng.normal(size=(count, sum(WIDTHS.values())))
    rows[:, 40:44] += 2.0 * (2 * labels[:, None] - 1)
    rows[:, 80:] *= 1000
    return rows.astype(np.float32), labels


def test_each_layer_of_each_example_has_length_one():
    rows = np.array([[3.0, 4.0, 10.0], [0.0, 0.0, -2.0]])
    found = head2toe.unit(rows, {"a": 2, "b": 1})
    np.testing.assert_allclose(found, [[0.6, 0.8, 1.0], [0.0, 0.0, -1.0]])


def test_the_highest_scores_are_kept_in_order():
    scores = np.array([0.1, 5.0, 0.0, 3.0, 4.0])
    assert head2toe.kept(scores, 0.6).tolist() == [1, 3, 4]
    assert head2toe.kept(scores, 0.01).tolist() == [1]


def test_features_of_the_only_layer_that_tells_are_kept():
    rows, labels = layered(80)
    rows = head2toe.unit(rows, WIDTHS)
    found = head2toe.fit(
        rows, labels, classes=2, shares=(0.3, 0.1), fractions=(0.04, 0.5), penalties=(1e-1, 1e-3)
    )
    assert (found.fraction, found.places.tolist()) == (0.04, [40, 41, 42, 43])
    assert found.kernel.shape == (4, 1)
    assert found.held_out["accuracy"] > 0.9
    more, truth = layered(200, seed=1)
    logits = head2toe.unit(more, WIDTHS)[:, found.places] @ found.kernel + found.bias
    assert ((logits[:, 0] > 0) == truth).mean() > 0.9
    # Classes that differ in more than one logit.
    thirds = np.where(rows[:, 0] > np.quantile(rows[:, 0], 0.7), 2, labels).astype(np.int32)
    found = head2toe.fit(
        rows, thirds, classes=3, shares=(0.1,), fractions=(0.05,), penalties=(1e-2,)
    )
    assert 0 in found.places
    assert found.kernel.shape == (5, 3)


def test_a_fold_is_judged_by_a_selection_that_has_not_seen_it():
    """Labels that no feature tells: a selection by all labels would seem to tell them."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 200)).astype(np.float32), np.arange(60) % 2
    found = head2toe.fit(
        rows,
        labels.astype(np.int32),
        classes=2,
        shares=(0.1,),
        fractions=(0.05,),
        penalties=(1e-2,),
    )
    assert found.held_out["accuracy"] < 0.7
    assert found.held_out["loss"] > 0.6
    seen = (rows[:, found.places] @ found.kernel + found.bias)[:, 0] > 0
    assert (seen == labels).mean() > 0.85


def test_what_cannot_be_fitted_is_refused_before_anything_is_solved():
    rows, labels = layered(4)
    with pytest.raises(InputError, match="an example or more of each of 3 classes"):
        head2toe.fit(rows, labels, classes=3)
    with pytest.raises(InputError, match="found NaN"):
        head2toe.fit(rows * np.nan, labels, classes=2)
    with pytest.raises(InputError, match="no class has two examples"):
        head2toe.fit(rows[:2], labels[:2], classes=2)
