import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import apply_affine_transform

from tljax.data.augment import Augment, Params, affine, augment_batch, draw, matrices, warp
from tljax.errors import InputError

# Keras reaches scipy through a namespace that scipy has deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Please import `affine_transform`:DeprecationWarning"
)

RANGES = Augment()
keys_of = jax.vmap(jax.random.fold_in, (None, 0))
KEY = jax.random.fold_in(jax.random.key(7), 3)
EXAMPLE = np.array([11, 4, 7, 900, 0, 2], np.int32)
augment = jax.jit(functools.partial(augment_batch, ranges=RANGES))


@jax.jit
def drawn(strength=1.0):
    """20,000 warps for pictures of 40 x 60: enough for statistics,
    and one compilation for the module.
    """
    keys = keys_of(KEY, jnp.arange(20_000))
    return draw(keys, height=40, width=60, ranges=RANGES, strength=jnp.float32(strength))


def pictures(n, height, width, seed=0):
    """Blocks of 4 x 4 pixels with steep edges: a slip of a hundredth of a pixel shows."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, height // 4 + 2, width // 4 + 2, 3))
    return coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width].astype(np.uint8)


def identity():
    zero, one = jnp.zeros(1), jnp.ones(1)
    return Params(zero, zero, zero, zero, one, one, jnp.zeros(1, bool))


@jax.jit
def apply(images, params):
    return warp(images, *matrices(params, height=images.shape[1], width=images.shape[2]))


def keras(image, params, i):
    p = jax.tree.map(lambda leaf: leaf[i].item(), params)
    out = apply_affine_transform(
        image.astype(np.float32),
        theta=p.rotation_deg,
        tx=p.shift_cols,
        ty=p.shift_rows,
        shear=p.shear_deg,
        zx=p.zoom_cols,
        zy=p.zoom_rows,
        row_axis=0,
        col_axis=1,
        channel_axis=2,
        fill_mode="nearest",
        order=1,
    )
    return out[:, ::-1] if p.flip else out


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 57), (63, 31)])
def test_equals_keras(height, width):
    params = jax.tree.map(lambda leaf: leaf[:24], drawn(1.0))
    images = pictures(24, height, width)
    ours = apply(images, params)
    theirs = np.stack([keras(image, params, i) for i, image in enumerate(images)])
    assert set(np.asarray(params.flip).tolist()) == {True, False}
    assert np.abs(ours - theirs)[:, 1:-1, 1:-1].max() < 1.0
    assert np.abs(ours - theirs).mean() < 0.01


def test_positive_angle_turns_counter_clockwise():
    image = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(1, 5, 5, 3)
    params = identity()._replace(rotation_deg=jnp.array([90.0]))
    np.testing.assert_allclose(apply(image, params)[0], np.rot90(image[0]), atol=1e-3)


def test_shift_and_flip_by_hand():
    """Rows come from two further down, the edge repeats; the mirror comes after the shift."""
    image = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)[None, :, :, None]
    down = identity()._replace(shift_rows=jnp.array([2.0]))
    np.testing.assert_array_equal(apply(image, down)[0, ..., 0], [[70, 80, 90]] * 3)
    half_right = identity()._replace(shift_cols=jnp.array([0.5]), flip=jnp.array([True]))
    np.testing.assert_allclose(
        apply(image, half_right)[0, ..., 0], [[30, 25, 15], [60, 55, 45], [90, 85, 75]]
    )


def test_shear_is_in_degrees():
    """Keras's shear matrix alone: A = [[cos s, 0], [-sin s, 1]] in (row, col)."""
    A, _ = matrices(identity()._replace(shear_deg=jnp.array([30.0])), height=8, width=8)
    np.testing.assert_allclose(A[0], [[np.sqrt(3) / 2, 0.0], [-0.5, 1.0]], atol=1e-6)
    assert np.deg2rad(RANGES.shear_deg) == pytest.approx(0.2)


def test_draws_fill_their_ranges_uniformly_and_independently():
    params = drawn(1.0)
    n = len(params.flip)
    centre = {"zoom_rows": 1.0, "zoom_cols": 1.0}
    half = {
        "rotation_deg": 40.0,
        "shift_rows": 8.0,
        "shift_cols": 12.0,
        "shear_deg": np.rad2deg(0.2),
        "zoom_rows": 0.2,
        "zoom_cols": 0.2,
    }
    unit = np.stack([(getattr(params, name) - centre.get(name, 0.0)) / half[name] for name in half])
    assert np.abs(unit).max() <= 1 + 1e-5
    deciles = np.stack([np.histogram(u, bins=10, range=(-1.0001, 1.0001))[0] for u in unit])
    assert np.abs(deciles / n - 0.1).max() < 0.012  # over 5 standard deviations
    together = np.corrcoef(np.concatenate([unit, np.asarray(params.flip, np.float32)[None]]))
    assert np.abs(together - np.eye(7)).max() < 0.04
    assert abs(float(params.flip.mean()) - 0.5) < 0.02


def test_picture_depends_on_key_and_example_only():
    images = pictures(6, 24, 24)
    whole = augment(images, keys=keys_of(KEY, EXAMPLE), strength=1.0)
    order = np.array([3, 0, 5])
    part = augment(images[order], keys=keys_of(KEY, EXAMPLE[order]), strength=1.0)
    np.testing.assert_allclose(part, whole[order], atol=1e-3)
    same = np.stack([images[0]] * 6)
    others = augment(same, keys=keys_of(KEY, EXAMPLE), strength=1.0)
    next_epoch = augment(
        same, keys=keys_of(jax.random.fold_in(jax.random.key(7), 4), EXAMPLE), strength=1.0
    )
    assert all(np.abs(whole[0] - other).max() > 10 for other in [*others[1:], next_epoch[0]])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_strength_scales_the_ranges_and_zero_is_the_identity(dtype):
    images = pictures(6, 24, 24).astype(dtype)
    still = augment(images, keys=keys_of(KEY, EXAMPLE), strength=0.0)
    assert still.dtype == jnp.float32
    np.testing.assert_array_equal(still, images)
    full, half = drawn(1.0), drawn(0.5)
    np.testing.assert_allclose(half.rotation_deg, full.rotation_deg / 2, rtol=1e-6)
    np.testing.assert_allclose(half.zoom_cols - 1, (full.zoom_cols - 1) / 2, atol=1e-6)
    assert float(half.flip.mean()) == pytest.approx(0.25, abs=0.02)


def test_empty_ranges_are_the_identity_and_a_static_argument():
    still = Augment(0.0, 0.0, 0.0, 0.0, 0.0, horizontal_flip=False)
    images = pictures(6, 24, 24)
    jitted = jax.jit(augment_batch, static_argnames="ranges")
    np.testing.assert_array_equal(jitted(images, keys=keys_of(KEY, EXAMPLE), ranges=still), images)


def test_one_trace_for_all_epochs_and_strengths_and_same_under_scan_and_vmap():
    images, traces = pictures(6, 24, 24), []

    @jax.jit
    def run(key, strength):
        traces.append(1)
        return augment_batch(images, keys=keys_of(key, EXAMPLE), ranges=RANGES, strength=strength)

    keys, strengths = jax.random.split(KEY, 3), np.float32([0.3, 1.0, 0.7])
    one_by_one = np.stack([run(keys[i], strengths[i]) for i in range(3)])
    assert len(traces) == 1
    _, scanned = jax.jit(lambda *xs: jax.lax.scan(lambda c, x: (c, run(*x)), 0, xs))(
        keys, strengths
    )
    mapped = jax.jit(jax.vmap(run))(keys, strengths)
    np.testing.assert_allclose(scanned, one_by_one, atol=0.02)
    np.testing.assert_allclose(mapped, one_by_one, atol=0.02)
    assert one_by_one.min() >= 0
    assert one_by_one.max() <= 255


def test_maps_that_were_drawn_before_give_the_same_image():
    """As all steps of a segment draw them at once, each with a strength of its own."""
    images = pictures(8, 12, 16).reshape(2, 4, 12, 16, 3)
    keys, strength = jax.random.split(jax.random.key(3), (2, 4)), jnp.array([0.5, 1.0])
    of = functools.partial(affine, height=12, width=16, ranges=RANGES)
    maps = jax.jit(jax.vmap(lambda keys, now: of(keys, strength=now)))(keys, strength)
    for step in range(2):
        once = functools.partial(augment, images[step], keys=keys[step], strength=strength[step])
        A, b = maps[0][step], maps[1][step]
        np.testing.assert_array_equal(once(maps=(A, b)), once())
        assert (np.asarray(once(maps=(A, b + 1.0))) != np.asarray(once())).any()


@pytest.mark.parametrize(
    ("field", "value"), [("zoom", 1.0), ("rotation_deg", -1.0), ("width_shift", float("nan"))]
)
def test_impossible_range_is_named(field, value):
    with pytest.raises(InputError, match=rf"Augment\.{field}.*found {value}"):
        Augment(**{field: value})
