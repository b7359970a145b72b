"""Our own splits: counts per class, seeds, copies, and photographs that are on both sides."""

import collections

import numpy as np
import pytest

from tljax.data import photos, splits
from tljax.errors import InputError


def listing(contents: list[bytes], labels: list[int], prefix: str = "") -> photos.Listing:
    ids = tuple(f"{prefix}{i}.jpg" for i in range(len(contents)))
    digests = tuple(map(photos.sha256, contents))
    return photos.Listing(ids, np.array(labels, np.int32), digests, contents.__getitem__)


def distinct(*counts: int) -> photos.Listing:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return listing([str(i).encode() for i in range(len(labels))], labels)


def counts(split: photos.Listing) -> dict[int, int]:
    return dict(collections.Counter(split.labels.tolist()))


@pytest.mark.parametrize(
    ("fraction", "train", "validation"),
    [
        (0.2, {0: 80, 1: 8, 2: 1, 3: 1}, {0: 20, 1: 2, 2: 1}),
        (0.01, {0: 99, 1: 9, 2: 1, 3: 1}, {0: 1, 1: 1, 2: 1}),
        (0.99, {0: 1, 1: 1, 2: 1, 3: 1}, {0: 99, 1: 9, 2: 1}),
    ],
)
def test_each_class_gives_its_share_and_keeps_something(fraction, train, validation):
    """100, 10, 2 and 1 photographs; the class of one stays in training."""
    split = splits.stratified(distinct(100, 10, 2, 1), fraction=fraction, seed=0)
    assert (counts(split["train"]), counts(split["validation"])) == (train, validation)
    both = split["train"].ids + split["validation"].ids
    assert sorted(both) == sorted(distinct(100, 10, 2, 1).ids)


def test_the_seed_decides_and_nothing_else():
    whole = distinct(50, 50)
    first = splits.stratified(whole, fraction=0.2, seed=3)["validation"].ids
    assert splits.stratified(whole, fraction=0.2, seed=3)["validation"].ids == first
    assert splits.stratified(whole, fraction=0.2, seed=4)["validation"].ids != first
    shuffled = whole.take(np.random.default_rng(0).permutation(100).tolist())
    assert set(splits.stratified(shuffled, fraction=0.2, seed=3)["validation"].ids) == set(first)


def test_copies_land_on_the_same_side_whatever_the_seed():
    """20 contents, three times each, the third copy in another class."""
    contents = [str(i // 3).encode() for i in range(60)]
    whole = listing(contents, [0, 0, 1] * 20)
    for seed in range(20):
        split = splits.stratified(whole, fraction=0.3, seed=seed)
        assert not set(split["train"].digests) & set(split["validation"].digests)
        splits.refuse_shared("x", split["train"], split["validation"])
        assert len(split["validation"].ids) == 18


def test_shared_photographs_are_named_with_both_names():
    train = listing([b"a", b"b"], [0, 1], "train/")
    validation = listing([b"c", b"a"], [0, 1], "validation/")
    with pytest.raises(
        InputError, match=r"^x: 1 validation photograph.*train/0\.jpg = validation/1\.jpg"
    ):
        splits.refuse_shared("x", train, validation)
    splits.refuse_shared("x", train, validation.take([0]))


def test_of_many_shared_photographs_three_are_named():
    train = listing([str(i).encode() for i in range(9)], [0] * 9, "train/")
    with pytest.raises(InputError, match=r"^x: 9 validation photographs .*, \.\.\.;") as caught:
        splits.refuse_shared("x", train, train)
    assert str(caught.value).count(" = ") == 3
