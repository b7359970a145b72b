import numpy as np

from tljax.data.splits import few


def drawn(labels, count, seed=0):
    return few(
        np.array(labels, np.int32), [f"train/{i}.jpg" for i in range(len(labels))], count, seed=seed
    )


def test_each_class_keeps_its_share():
    labels = [0] * 60 + [1] * 20
    kept = drawn(labels, 20)
    assert np.bincount(np.array(labels)[kept]).tolist() == [15, 5]
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert sorted(np.array([0] * 50 + [1])[drawn([0] * 50 + [1], 2)]) == [0, 1]


def test_larger_draws_hold_smaller_ones_and_all_is_all():
    labels = [0, 1, 2] * 10
    smaller, larger = set(drawn(labels, 9).tolist()), set(drawn(labels, 10).tolist())
    assert smaller < larger
    assert drawn(labels, 30).tolist() == list(range(30))


def test_a_draw_follows_from_seed_and_names():
    labels = [0, 1] * 20
    assert drawn(labels, 10).tolist() == drawn(labels, 10).tolist()
    assert drawn(labels, 10).tolist() != drawn(labels, 10, seed=1).tolist()
