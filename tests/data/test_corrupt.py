import colorsys
import itertools
from dataclasses import replace

import numpy as np
import pytest

from tljax.data import corrupt
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
FLAT = np.full((2, 32, 32, 3), 128, np.uint8)
CHOSEN = sorted(corrupt.CORRUPTIONS)


@pytest.mark.parametrize("name", CHOSEN)
def test_each_is_a_pure_function_and_grows_with_severity(name):
    before = IMAGES.copy()
    smooth = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8)[:, None, None], (32, 32, 3))
    images = np.stack([*IMAGES, smooth, np.full_like(smooth, 90)])
    change = corrupt.CORRUPTIONS[name]
    made = [change(images, severity=severity) for severity in corrupt.SEVERITIES]
    assert all(each.dtype == np.uint8 and each.shape == images.shape for each in made)
    np.testing.assert_array_equal(made[2], change(images, severity=3))
    np.testing.assert_array_equal(IMAGES, before)
    apart = [np.abs(each.astype(float) - images).mean() for each in made]
    assert all(weaker < stronger for weaker, stronger in itertools.pairwise(apart))


def test_noise_has_the_deviation_of_its_severity_and_a_stream_an_image():
    images = np.full((40, 32, 32, 3), 128, np.uint8)
    made = corrupt.noise(images, severity=2).astype(float)
    assert made.std() / 255 == pytest.approx(0.06, rel=0.02)
    assert made.mean() == pytest.approx(127.5, abs=0.3)  # rounded down
    np.testing.assert_array_equal(corrupt.noise(images[:5], severity=2), made[:5])
    assert (made[0] != made[1]).any()
    assert (corrupt.noise(images[:1], severity=2, seed=1) != made[:1]).any()


def test_blur_is_a_normal_kernel_and_scales_with_the_image():
    """A dot becomes the product of two sampled bells; a flat image stays flat, to its edges."""
    dot = np.zeros((1, 33, 33, 3), np.uint8)
    dot[0, 16, 16] = 255
    sigma = 1.0 * 33 / 32
    reach = int(4 * sigma + 0.5)
    bell = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    bell /= bell.sum()
    expected = np.zeros((33, 33))
    expected[16 - reach : 17 + reach, 16 - reach : 17 + reach] = 255 * np.outer(bell, bell)
    np.testing.assert_array_equal(
        corrupt.blur(dot, severity=5)[0, :, :, 1], np.floor(expected + 1e-6)
    )
    np.testing.assert_array_equal(corrupt.blur(FLAT, severity=5), FLAT)


def test_contrast_by_its_formula():
    made = corrupt.contrast(IMAGES, severity=2)
    for image, found in zip(IMAGES / 255, made, strict=True):
        for channel in range(3):
            mean = image[..., channel].mean()
            expected = 255 * ((image[..., channel] - mean) * 0.5 + mean)
            np.testing.assert_array_equal(found[..., channel], np.floor(expected + 1e-6))
    np.testing.assert_array_equal(corrupt.contrast(FLAT, severity=5), FLAT)


def test_brightness_raises_the_value_of_hsv_alone():
    colours = np.array([[[[200, 100, 50], [0, 0, 0], [255, 10, 3], [90, 90, 90]]]], np.uint8)
    made = corrupt.brightness(colours, severity=4)[0, 0]
    for colour, found in zip(colours[0, 0] / 255, made, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*colour)
        expected = np.multiply(255, colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.2)))
        np.testing.assert_allclose(found, expected, atol=1)
        assert (found <= expected + 1e-6).all()


def test_pixelate_averages_boxes_and_repeats_them():
    """Exactly known where whole boxes meet: from 4 pixels to 2 and back."""
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(3, -1) * 16
    made = corrupt.pixelate(image, severity=5)  # int(4 * 0.65) = 2
    blocks = image.reshape(1, 2, 2, 2, 2, 3).astype(float).mean((2, 4))
    np.testing.assert_allclose(made, blocks.repeat(2, 1).repeat(2, 2), atol=0.5)
    np.testing.assert_array_equal(corrupt.pixelate(FLAT, severity=3), FLAT)


def sets():
    split = ImageSet(IMAGES, np.array([0, 1, 0], np.int32), ("a", "b", "c"))
    return ImageSets("folder:x", ("cat", "dog"), split, replace(split), "d" * 64)


def test_a_corrupted_set_says_so_and_draws_its_splits_apart():
    found = corrupt.corrupted(sets(), "noise", severity=2)
    assert found.name == "folder:x with noise 2"
    assert found.train.ids == ("a", "b", "c")
    np.testing.assert_array_equal(found.train.images, corrupt.noise(IMAGES, severity=2, seed=0))
    assert (
        found.validation.images != found.train.images
    ).any()  # the same photographs here, but other noise
    digests = {
        corrupt.corrupted(sets(), name, severity=s).digest for name in CHOSEN for s in (1, 2)
    }
    assert len(digests | {sets().digest}) == 2 * len(CHOSEN) + 1


@pytest.mark.parametrize(
    ("name", "severity", "told"), [("fog", 1, "found 'fog'"), ("blur", 6, "found 6")]
)
def test_the_unknown_is_refused(name, severity, told):
    with pytest.raises(InputError, match=told):
        corrupt.corrupted(sets(), name, severity=severity)
