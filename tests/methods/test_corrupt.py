import io
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tljax.errors import InputError
from tljax.methods import corrupt, lens, weather

RNG = np.random.default_rng(0)
SIDE = 32
SMOOTH = np.stack(np.broadcast_arrays(*np.mgrid[0:SIDE, 0:SIDE], 16), -1).astype(np.float32) * 7
IMAGES = np.stack([RNG.integers(0, 256, (SIDE, SIDE, 3)), SMOOTH]).astype(np.uint8)
FLAT = np.full((1, SIDE, SIDE, 3), 128, np.uint8)
KEY = jax.random.key(0)


@pytest.mark.parametrize("kind", sorted(corrupt.KINDS))
def test_each_grows_with_severity_and_is_the_same_each_time(kind):
    weak, strong = (corrupt.corrupted(IMAGES, kind, severity=s) for s in (1, 5))
    assert strong.dtype == np.uint8
    assert strong.shape == IMAGES.shape
    np.testing.assert_array_equal(weak, corrupt.corrupted(IMAGES, kind, severity=1))
    near, far = (np.abs(each.astype(float) - IMAGES).mean() for each in (weak, strong))
    assert near < far


def test_an_image_does_not_depend_on_its_batch():
    many = np.repeat(IMAGES, 20, axis=0)  # more than one batch
    made = corrupt.corrupted(many, "gaussian_noise", severity=1)
    np.testing.assert_array_equal(
        made[:2], corrupt.corrupted(many[:2], "gaussian_noise", severity=1)
    )
    assert (made[0] != made[1]).any()


def test_noise_has_the_published_deviation():
    grey = np.full((4, 64, 64, 3), 128, np.uint8)
    made = corrupt.corrupted(grey, "gaussian_noise", severity=1).astype(float)
    assert made.std() / 255 == pytest.approx(0.08, rel=0.03)
    shot = corrupt.corrupted(grey, "shot_noise", severity=1).astype(float)
    assert shot.std() / 255 == pytest.approx(np.sqrt(128 / 255 / 60), rel=0.03)
    impulse = corrupt.corrupted(grey, "impulse_noise", severity=5)
    assert (impulse != 128).mean() == pytest.approx(0.27, abs=0.01)
    assert (impulse == 0).mean() == pytest.approx((impulse == 255).mean(), abs=0.01)


def test_contrast_and_brightness_by_their_formulas():
    image = IMAGES[0] / 255
    means = image.mean((0, 1))
    found = corrupt.corrupted(IMAGES, "contrast", severity=3)[0]
    np.testing.assert_allclose(found, np.floor(255 * ((image - means) * 0.2 + means)), atol=1)
    bright = corrupt.corrupted(FLAT, "brightness", severity=2)
    np.testing.assert_allclose(bright, np.floor(128 + 0.2 * 255), atol=1)


@pytest.mark.parametrize("kind", ["defocus_blur", "motion_blur", "zoom_blur", "pixelate"])
def test_what_has_no_edges_stays_as_it_is(kind):
    np.testing.assert_allclose(corrupt.corrupted(FLAT, kind, severity=5), FLAT, atol=1)


def test_defocus_spreads_a_dot_over_a_disk():
    dot = np.zeros((224, 224, 3), np.float32)
    dot[112, 112] = 1
    made = np.asarray(lens.defocus(jnp.asarray(dot), KEY, (6, 0.5)))[..., 0]
    assert made.sum() == pytest.approx(1, abs=1e-4)
    assert made[112, 112] == pytest.approx(1 / (np.pi * 36), rel=0.03)
    assert made[112, 112 + 8] == pytest.approx(0, abs=1e-6)


def test_a_trail_fades_along_its_angle():
    kernel = np.asarray(lens.trail(224, jnp.float32(0), 3, 2.0))
    weights = np.exp(-(np.arange(7) ** 2) / 8)
    np.testing.assert_allclose(kernel[6, 6:], weights / weights.sum(), rtol=1e-5)
    assert kernel.sum() == pytest.approx(1)
    assert (kernel[:6] == 0).all()


def test_pixelate_averages_boxes_and_repeats_them():
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1).repeat(3, -1) / 16
    made = np.asarray(lens.pixelated(jnp.asarray(image), KEY, 0.5))
    blocks = image.reshape(2, 2, 2, 2, 3).mean((1, 3))
    np.testing.assert_allclose(made, blocks.repeat(2, 0).repeat(2, 1), atol=1e-6)


@pytest.mark.parametrize("quality", [25, 10])
def test_jpeg_is_that_of_the_reference_library(quality):
    """Pillow smooths the colours that it enlarges; brightness is the same to a rounding."""
    grey = np.asarray(Image.fromarray(IMAGES[1]).convert("L").convert("RGB"))
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=quality)
    theirs = np.asarray(Image.open(file)).astype(float)
    ours = np.asarray(lens.jpeg(jnp.asarray(grey / 255, jnp.float32), KEY, quality)) * 255
    assert np.abs(theirs - grey).max() > 2
    np.testing.assert_allclose(np.clip(ours, 0, 255), theirs, atol=1.01)


def test_fog_is_white_and_rough_and_keeps_the_brightest():
    drawn = np.asarray(weather.plasma(KEY, side=60, decay=2.0))
    assert drawn.shape == (64, 64)
    assert (drawn.min(), drawn.max()) == (0.0, 1.0)
    rough, smooth = (
        np.abs(np.diff(np.asarray(weather.plasma(KEY, side=64, decay=d)), axis=0)).mean()
        for d in (1.4, 2.0)
    )
    assert rough > smooth
    black = jnp.zeros((32, 32, 3)).at[0, 0].set(0.8)
    assert float(weather.fog(black, KEY, (3.0, 1.4)).max()) <= 0.8 + 1e-6
    assert float(weather.fog(black, KEY, (3.0, 1.4)).mean()) > 0.1


def test_keys_and_severities_are_checked():
    with pytest.raises(InputError, match="corruption: expected one of gaussian_noise"):
        corrupt.corrupted(IMAGES, "frost", severity=1)
    with pytest.raises(InputError, match="severity: expected 1 to 5, found 6"):
        corrupt.corrupted(IMAGES, "fog", severity=6)


def test_the_published_severities_rise():
    for name, kind in corrupt.KINDS.items():
        assert len(kind.severities) == 5, name
    for name in ("gaussian_noise", "impulse_noise", "brightness"):
        values = corrupt.KINDS[name].severities
        assert all(a < b for a, b in itertools.pairwise(values))
