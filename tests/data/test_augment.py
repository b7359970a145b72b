import jax
import jax.numpy as jnp
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import apply_affine_transform

from tljax.data.augment import Augment, Params, augment_batch, draw, matrices, warp
from tljax.errors import InputError

# Keras reaches scipy through a namespace that scipy has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Please import `affine_transform`:DeprecationWarning")

RANGES = Augment()
KEY = jax.random.fold_in(jax.random.key(7), 3)


def pictures(n, height, width, seed=0):
    """Blobs, not noise: one grey level of slack would hide nothing in noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, height // 4 + 2, width // 4 + 2, 3))
    return coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width].astype(np.uint8)


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
    params = draw(KEY, example=jnp.arange(24), height=height, width=width, ranges=RANGES)
    images = pictures(24, height, width)
    ours = np.asarray(warp(images, *matrices(params, height=height, width=width)))
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


def identity():
    zero, one = jnp.zeros(1), jnp.ones(1)
    return Params(zero, zero, zero, zero, one, one, jnp.zeros(1, bool))


def apply(images, params):
    return np.asarray(warp(images, *matrices(params, height=images.shape[1], width=images.shape[2])))


def test_draws_fill_their_ranges_uniformly_and_independently():
    n, height, width = 20_000, 40, 60
    params = draw(KEY, example=jnp.arange(n), height=height, width=width, ranges=RANGES)
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
    images, example = pictures(6, 24, 24), jnp.array([11, 4, 7, 900, 0, 2])
    whole = augment_batch(images, key=KEY, example=example, ranges=RANGES)
    order = np.array([3, 0, 5])
    part = augment_batch(images[order], key=KEY, example=example[order], ranges=RANGES)
    np.testing.assert_allclose(part, whole[order], atol=1e-3)
    same = np.stack([images[0]] * 2)
    two = augment_batch(same, key=KEY, example=jnp.array([11, 12]), ranges=RANGES)
    next_epoch = augment_batch(
        same, key=jax.random.fold_in(jax.random.key(7), 4), example=jnp.array([11, 12]), ranges=RANGES
    )
    assert np.abs(two[0] - two[1]).max() > 10
    assert np.abs(two[0] - next_epoch[0]).max() > 10


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_strength_scales_the_ranges_and_zero_is_the_identity(dtype):
    images, example = pictures(64, 16, 16).astype(dtype), jnp.arange(64)
    still = augment_batch(images, key=KEY, example=example, ranges=RANGES, strength=jnp.float32(0.0))
    assert still.dtype == jnp.float32
    np.testing.assert_array_equal(still, images)
    full, half = (
        draw(KEY, example=example, height=16, width=16, ranges=RANGES, strength=s) for s in (1.0, 0.5)
    )
    np.testing.assert_allclose(half.rotation_deg, full.rotation_deg / 2, rtol=1e-6)
    np.testing.assert_allclose(half.zoom_cols - 1, (full.zoom_cols - 1) / 2, atol=1e-6)
    assert 0.1 < float(half.flip.mean()) < 0.4 < float(full.flip.mean())


def test_no_flip_when_switched_off():
    ranges = Augment(horizontal_flip=False)
    assert not draw(KEY, example=jnp.arange(64), height=8, width=8, ranges=ranges).flip.any()


def test_one_trace_for_epochs_and_strengths_and_same_under_scan_and_vmap():
    images, example = jnp.asarray(pictures(4, 20, 20)), jnp.arange(4)
    traces = []

    def run(images, key, example, strength):
        traces.append(1)
        return augment_batch(images, key=key, example=example, ranges=RANGES, strength=strength)

    jitted = jax.jit(run)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(3))
    strengths = jnp.array([0.3, 1.0, 0.7])
    one_by_one = np.stack([jitted(images, k, example, s) for k, s in zip(keys, strengths, strict=True)])
    assert len(traces) == 1
    _, scanned = jax.lax.scan(lambda c, ks: (c, run(images, ks[0], example, ks[1])), 0, (keys, strengths))
    mapped = jax.vmap(run, (None, 0, None, 0))(images, keys, example, strengths)
    np.testing.assert_allclose(scanned, one_by_one, atol=0.02)
    np.testing.assert_allclose(mapped, one_by_one, atol=0.02)
    assert one_by_one.min() >= 0
    assert one_by_one.max() <= 255


def test_ranges_are_a_static_argument():
    jitted = jax.jit(augment_batch, static_argnames="ranges")
    images = pictures(2, 8, 8)
    out = jitted(images, key=KEY, example=jnp.arange(2), ranges=Augment(zoom=0.1))
    assert out.shape == (2, 8, 8, 3)


@pytest.mark.parametrize(
    ("field", "value"), [("zoom", 1.0), ("rotation_deg", -1.0), ("width_shift", float("nan"))]
)
def test_impossible_range_is_named(field, value):
    with pytest.raises(InputError, match=rf"Augment\.{field}.*found {value}"):
        Augment(**{field: value})
