import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from tljax.data import augment
from tljax.data.augment import Augment, Photometric
from tljax.data.augment import augment_batch as augment_eagerly
from tljax.data.augment.photometric import changed as change_eagerly
from tljax.errors import InputError

changed = jax.jit(change_eagerly, static_argnames="ranges")
augment_batch = jax.jit(augment_eagerly, static_argnames="ranges")
NONE = Photometric(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
KEYS = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(3), jnp.arange(64))


def only(**range_):
    """Photometric augmentation of one kind, of every image."""
    return dataclasses.replace(NONE, **range_)


@pytest.fixture(scope="module")
def images():
    """Values in the middle of the range: nothing is cut."""
    return np.random.default_rng(0).uniform(100, 156, (64, 20, 24, 3)).astype(np.float32)


def test_brightness_adds_one_number_to_an_image_from_the_whole_range(images):
    added = np.asarray(changed(images, KEYS, ranges=only(brightness=0.3))) - images
    each = added.mean((1, 2, 3))
    np.testing.assert_allclose(
        added, np.broadcast_to(each[:, None, None, None], added.shape), atol=1e-4
    )
    assert each.min() < -0.25 * 255
    assert each.max() > 0.25 * 255
    assert np.abs(each).max() <= 0.3 * 255


def test_contrast_stretches_about_the_mean_of_each_channel(images):
    made = np.asarray(changed(images, KEYS, ranges=only(contrast=1.0)))
    np.testing.assert_allclose(made.mean((1, 2)), images.mean((1, 2)), rtol=1e-5)
    factor = made.std((1, 2)) / images.std((1, 2))
    np.testing.assert_allclose(factor, factor[:, :1].repeat(3, 1), rtol=1e-4)
    assert 0.5 <= factor.min() < 0.6
    assert 1.7 < factor.max() <= 2.0


def test_saturation_moves_each_pixel_from_its_grey(images):
    made = np.asarray(changed(images, KEYS, ranges=only(saturation=0.5)))
    grey = images.mean(-1, keepdims=True)
    np.testing.assert_allclose(made.mean(-1, keepdims=True), grey, rtol=1e-5)
    factor = ((made - grey) * (images - grey)).sum((1, 2, 3)) / ((images - grey) ** 2).sum(
        (1, 2, 3)
    )
    np.testing.assert_allclose(
        made, grey + factor[:, None, None, None] * (images - grey), atol=1e-3
    )
    assert 0.5 <= factor.min() < 0.6
    assert 1.4 < factor.max() <= 1.5


def test_blur_is_a_gaussian_whose_weights_outside_are_left_out(images):
    made = np.asarray(changed(images, KEYS, ranges=only(blur=0.1)))
    deviations = np.linspace(0.05, 2.0, 400)  # 0.1 of the shorter side, 20 pixels
    image, ones = images[0], np.ones(images.shape[1:])
    tried = []
    for deviation in deviations:
        soft, share = image, ones
        for axis in (0, 1):
            soft, share = (
                gaussian_filter1d(x, deviation, axis=axis, mode="constant", truncate=12)
                for x in (soft, share)
            )
        tried.append(np.abs(soft / share - made[0]).max())
    assert min(tried) < 0.3
    assert np.median(tried) > 1.0


def test_noise_is_gaussian_and_new_in_every_value(images):
    noise = np.asarray(changed(images, KEYS, ranges=only(noise=0.05))) - images
    deviation = noise.std((1, 2, 3)) / 255
    assert deviation.min() < 0.01
    assert 0.045 < deviation.max() < 0.052
    scaled = noise / noise.std((1, 2, 3), keepdims=True)
    assert abs((np.abs(scaled) < 1).mean() - 0.6827) < 0.01
    assert abs((scaled[:, :-1] * scaled[:, 1:]).mean()) < 0.02


def test_each_kind_is_drawn_by_itself_as_often_as_said(images):
    made = np.asarray(changed(images, KEYS, ranges=Photometric()))
    untouched = (made == images).all((1, 2, 3)).mean()
    assert 0.75**5 - 0.15 < untouched < 0.75**5 + 0.15
    assert (np.asarray(changed(images, KEYS, ranges=Photometric(probability=0.0))) == images).all()


def test_strength_nought_changes_no_bit(images):
    every = Photometric(probability=1.0)
    np.testing.assert_array_equal(changed(images, KEYS, ranges=every, strength=0.0), images)
    half = changed(images, KEYS, ranges=only(brightness=0.3), strength=0.5) - images
    whole = changed(images, KEYS, ranges=only(brightness=0.3)) - images
    np.testing.assert_allclose(2 * half, whole, atol=1e-4)


def test_an_image_depends_on_its_key_alone_and_stays_within_range():
    images = np.random.default_rng(1).integers(0, 256, (8, 12, 10, 3)).astype(np.uint8)
    ranges = Augment(photometric=Photometric(probability=1.0))
    made = np.asarray(augment_batch(images, keys=KEYS[:8], ranges=ranges))
    alone = augment_batch(images[5:6], keys=KEYS[5:6], ranges=ranges)
    np.testing.assert_allclose(alone[0], made[5], atol=1e-3)
    assert made.min() >= 0
    assert made.max() <= 255
    assert (made != np.asarray(augment_batch(images, keys=KEYS[:8], ranges=Augment()))).any()


def test_it_follows_the_warp():
    images = np.random.default_rng(2).uniform(100, 156, (8, 12, 10, 3)).astype(np.float32)
    ranges = Augment(photometric=only(brightness=0.2))
    added = augment_batch(images, keys=KEYS[:8], ranges=ranges) - augment_batch(
        images, keys=KEYS[:8], ranges=Augment()
    )
    assert np.asarray(added).std((1, 2, 3)).max() < 1e-3


def test_what_asdict_wrote_is_read():
    for ranges in (Augment(), Augment(zoom=0.1, photometric=Photometric(noise=0.1))):
        assert augment.read(dataclasses.asdict(ranges)) == ranges
    old = dataclasses.asdict(Augment())
    del old["photometric"]  # written before there was any
    assert augment.read(old) == Augment()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Photometric)])
@pytest.mark.parametrize("value", [-0.1, 11.0, float("nan")])
def test_a_range_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=rf"^Photometric\.{name}: expected a number from 0 to"):
        Photometric(**{name: value})
