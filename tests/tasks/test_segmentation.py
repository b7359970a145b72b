"""Segmentation by formula: exact confusions, scores by hand, losses against their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data import augment
from tljax.errors import InputError
from tljax.optim.objective import Objective
from tljax.tasks import confusion
from tljax.tasks.pixels import VOID, resized, warp
from tljax.tasks.segmentation import SEGMENTATION as TASK

RNG = np.random.default_rng(0)


def masks(n=3, height=12, width=16, classes=4, void=0.1):
    """Blocks of 4 x 4 pixels of one class, some without any."""
    blocks = RNG.integers(0, classes, (n, height // 4, width // 4), np.uint8)
    blocks[RNG.random(blocks.shape) < void] = VOID
    return blocks.repeat(4, 1).repeat(4, 2)


def test_a_mask_is_warped_as_its_photograph():
    """The mask painted as an image, warped with the same maps, is the warped mask, painted.

    That holds wherever the four pixels that the image is interpolated from are of one class, and
    lie inside it.
    """
    labels = masks(n=24, height=40, width=60, classes=5, void=0.0)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(3), jnp.arange(24))
    ranges = augment.Augment()
    drawn = augment.draw(keys, height=40, width=60, ranges=ranges)
    maps = augment.matrices(drawn, height=40, width=60)
    # Each class has a colour, and so has the place: a pixel of another class is another colour.
    colours = np.array([[0, 0, 255], [60, 0, 0], [0, 80, 0], [200, 90, 0], [30, 200, 90]], np.uint8)
    painted = np.asarray(augment.warp(colours[labels], *maps))
    moved = np.asarray(warp(labels, *maps))
    pure = (painted[:, :, :, None] == colours[None, None, None]).all(-1)  # [N, H, W, classes]
    inside = moved != VOID
    judged = inside & pure.any(-1)
    assert judged.mean() > 0.3
    np.testing.assert_array_equal(moved[judged], pure.argmax(-1)[judged])
    # Beyond half a pixel outside there is no class, and only there.
    row, col = np.mgrid[:40, :60]
    A, b = (np.asarray(each, np.float64) for each in maps)
    y, x = (
        A[:, i, 0, None, None] * row + A[:, i, 1, None, None] * col + b[:, i, None, None]
        for i in (0, 1)
    )
    outside = (y < -0.51) | (y > 39.51) | (x < -0.51) | (x > 59.51)
    within = (y > -0.49) & (y < 39.49) & (x > -0.49) & (x < 59.49)
    assert outside.mean() > 0.05
    assert (moved[outside] == VOID).all()
    assert (moved[within] != VOID).all()


def test_the_identity_leaves_a_mask_as_it_is():
    labels = masks()
    eye, zero = jnp.tile(jnp.eye(2), (3, 1, 1)), jnp.zeros((3, 2))
    np.testing.assert_array_equal(warp(labels, eye, zero), labels)
    assert warp(labels, eye, zero).dtype == jnp.uint8


def counted(label, found, classes):
    table = np.zeros((classes, classes), int)
    for truth, answer in zip(label.ravel(), found.ravel(), strict=True):
        if truth != VOID:
            table[truth, answer] += 1
    return table


def test_the_confusion_counts_every_pixel_with_a_class_once():
    labels = masks()
    logits = RNG.normal(size=(3, 12, 16, 4)).astype(np.float32)
    found = TASK.figures(logits, jnp.asarray(labels))["confusion"]
    assert found.dtype == jnp.int32
    for i in range(3):
        np.testing.assert_array_equal(found[i], counted(labels[i], logits[i].argmax(-1), 4))
    kept = np.asarray(TASK.kept(logits, jnp.asarray(labels)))
    np.testing.assert_array_equal(TASK.kept_figures(kept, labels)["confusion"], found)
    losses = TASK.losses(logits, jnp.asarray(labels))
    np.testing.assert_allclose(TASK.kept_losses(kept, labels), losses, rtol=1e-6)
    judged = TASK.judged(kept, labels)
    assert judged["n"] == 3
    assert judged["mIoU"] == confusion.scores(np.asarray(found).sum(0))["mIoU"]


def test_counts_are_exact_beyond_what_float32_holds():
    """Two images of 2^24 pixels and one pixel more: float32 sums would lose it."""
    part = np.zeros((3, 2, 2), np.int64)
    part[0, 0, 0], part[1, 0, 0], part[2, 0, 1] = 2**24, 2**24, 1
    scores = confusion.scores(part.sum(0))
    assert scores["accuracy"] == 2**25 / (2**25 + 1)


def test_scores_by_hand():
    table = np.array([[5, 1, 0, 0], [2, 3, 0, 0], [0, 0, 0, 0], [1, 0, 0, 8]])
    np.testing.assert_allclose(confusion.ious(table)[[0, 1, 3]], [5 / 9, 3 / 6, 8 / 9])
    assert np.isnan(confusion.ious(table)[2])
    scores = confusion.scores(table)
    np.testing.assert_allclose(scores["mIoU"], (5 / 9 + 3 / 6 + 8 / 9) / 3)
    np.testing.assert_allclose(scores["Dice"], (10 / 14 + 6 / 9 + 16 / 17) / 3)
    assert scores["accuracy"] == 16 / 20
    nothing = confusion.scores(np.zeros((3, 3), int))
    assert all(np.isnan(value) for value in nothing.values())


def test_the_loss_is_the_mean_over_pixels_with_a_class():
    labels = masks()
    labels[2] = VOID
    logits = RNG.normal(size=(3, 12, 16, 4)).astype(np.float32)
    weights = (0.5, 2.0, 1.0, 3.0)
    found = TASK.losses(logits, jnp.asarray(labels), Objective(class_weights=weights))
    logs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    for i in range(2):
        known = labels[i] != VOID
        truth = labels[i][known]
        own = -np.take_along_axis(logs[i][known], truth[:, None], 1)[:, 0]
        np.testing.assert_allclose(found[i], (own * np.array(weights)[truth]).mean(), rtol=1e-5)
    assert found[2] == 0


def test_an_ignored_pixel_has_no_gradient():
    labels = masks()
    logits = jnp.asarray(RNG.normal(size=(3, 12, 16, 4)).astype(np.float32))
    objective = Objective(dice=1.0)
    slope = jax.grad(lambda x: TASK.losses(x, jnp.asarray(labels), objective).sum())(logits)
    void = labels == VOID
    assert void.any()
    assert not np.asarray(slope)[void].any()
    assert np.abs(np.asarray(slope)[~void]).sum(-1).all()


def test_dice_by_hand():
    """One row of four pixels, two classes, the last pixel without a class."""
    share = np.array([0.9, 0.6, 0.2, 0.5])
    logits = np.stack([np.log(share), np.log1p(-share)], -1)[None, None].astype(np.float32)
    label = jnp.array([[[0, 0, 1, VOID]]], jnp.uint8)
    first = 2 * (0.9 + 0.6) / (2 + 1.7)
    second = 2 * 0.8 / (1 + 0.1 + 0.4 + 0.8)
    plain = TASK.losses(logits, label)
    found = TASK.losses(logits, label, Objective(dice=0.5))
    np.testing.assert_allclose(found - plain, [0.5 * (1 - (first + second) / 2)], rtol=1e-5)


def test_the_constant_loss_is_the_least():
    labels = masks(n=4)
    objective = Objective(class_weights="balanced", label_smoothing=0.1)
    least = TASK.constant_loss(labels, objective, classes=4)
    settled = TASK.settled(objective, labels, classes=4)

    def mean(scores):
        logits = jnp.broadcast_to(scores, (4, 12, 16, 4))
        return TASK.losses(logits, jnp.asarray(labels), settled).mean()

    descend = jax.jit(lambda scores: scores - jax.grad(mean)(scores))
    scores = jnp.zeros(4)
    for _ in range(300):
        scores = descend(scores)
    np.testing.assert_allclose(mean(scores), least, rtol=1e-4)
    plain = TASK.constant_loss(labels, classes=4)
    np.testing.assert_allclose(TASK.constant_losses(labels).mean(), plain, rtol=1e-6)


def test_balanced_weights_have_a_mean_of_one_over_pixels():
    labels = masks(n=6)
    weights = np.array(confusion.balanced(labels, classes=4))
    known = labels[labels != VOID]
    np.testing.assert_allclose(weights[known].mean(), 1)
    counts = np.bincount(known)
    np.testing.assert_allclose(weights * counts, (weights * counts)[0])
    with pytest.raises(InputError, match="class 4 has no training pixel"):
        confusion.balanced(labels, classes=5)


def test_coarse_logits_are_resized_to_the_mask():
    coarse = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    labels = jnp.asarray(masks(n=2, classes=5))
    fine = resized(jnp.asarray(coarse), (12, 16))
    np.testing.assert_array_equal(TASK.losses(coarse, labels), TASK.losses(fine, labels))
    np.testing.assert_allclose(np.asarray(fine)[:, 1:-1:4][:, 1:].shape, (2, 2, 16, 5))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 4), np.uint8), "whole numbers from 0 to 255"),
        (np.zeros((2, 4, 4), np.float32), "whole numbers from 0 to 255"),
        (np.full((2, 4, 4), 300), "whole numbers from 0 to 255"),
        (np.full((2, 4, 4), -1), "whole numbers from 0 to 255"),
    ],
)
def test_other_arrays_are_no_masks(labels, message):
    with pytest.raises(InputError, match=message):
        TASK.checked("here", labels, count=2)


def test_a_number_above_the_list_is_named():
    labels = np.array([[[0, 1], [7, VOID]]], np.uint8)
    TASK.check("here", labels, classes=8)
    with pytest.raises(InputError, match=r"here: masks: expected classes 0 to 3 and 255.*found 7"):
        TASK.check("here", labels, classes=4)


def test_an_image_counts_for_each_class_in_it():
    labels = np.array([[[0, 0], [1, VOID]], [[1, 1], [1, 1]]], np.uint8)
    np.testing.assert_array_equal(TASK.counts(labels, classes=3), [1, 2, 0])
