"""Masks by several views: a view's logits are laid back onto the photograph's own pixels."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data.augment import Augment, draw, inverse, matrices
from tljax.train.outcome.viewed import mean_of_pixels

# A network whose logits of a pixel are its colour: what a view says of a pixel is what it holds.
NET = SimpleNamespace(params={}, run=lambda images, params: (images.astype(jnp.float32), {}))
RNG = np.random.default_rng(0)
STILL = Augment(0.0, 0.0, 0.0, 0.0, 0.0, horizontal_flip=False)


def test_the_inverse_of_a_map_leads_back():
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(8))
    A, b = matrices(draw(keys, height=20, width=30, ranges=Augment()), height=20, width=30)
    C, d = inverse(A, b)
    p = np.array([[3.0, 17.0]] * 8)
    q = np.einsum("nij,nj->ni", C, p) + d
    np.testing.assert_allclose(np.einsum("nij,nj->ni", A, q) + b, p, atol=1e-3)


def test_mirrored_views_of_an_even_handed_network_change_nothing():
    images = RNG.integers(0, 256, (2, 12, 16, 3), np.uint8)
    mirrored = Augment(0.0, 0.0, 0.0, 0.0, 0.0, horizontal_flip=True)
    found = mean_of_pixels(NET, mirrored, views=8)(images)
    np.testing.assert_allclose(found, images, atol=1e-3)


@pytest.mark.parametrize("ranges", [Augment(), Augment(5.0, 0.1, 0.1, 0.0, 0.2)])
def test_what_a_view_says_lands_on_the_pixel_it_is_of(ranges):
    """Colours that grow evenly are interpolated exactly; only edges are repeated."""
    row, col = np.mgrid[:40, :60]
    image = np.stack([4 * row, 3 * col, 60 + row + col], -1).astype(np.uint8)
    found = np.asarray(mean_of_pixels(NET, ranges, views=4)(image[None])[0])
    np.testing.assert_allclose(found[4:-4, 4:-4], image[4:-4, 4:-4], atol=0.05)
    assert np.abs(found - image).max() < 8


def test_a_pixel_that_no_view_holds_keeps_the_photographs_own():
    far = Augment(0.0, 1.0, 1.0, 0.0, 0.0, horizontal_flip=False)
    net = SimpleNamespace(params={}, run=lambda images, params: (_marked(images), {}))
    image = np.full((1, 16, 16, 3), 7, np.uint8)
    found = np.asarray(mean_of_pixels(net, far, views=1)(image)[0, ..., 0])
    # 1 of the photograph itself; a view, which is warped into floats, says 3: together 2.
    assert set(np.unique(found)) == {1.0, 2.0}


def _marked(images):
    """Say 1 of every pixel of a photograph (uint8), and 3 of a view's."""
    return jnp.full((*images.shape[:3], 1), 1.0 if images.dtype == jnp.uint8 else 3.0)


def test_still_views_are_the_photograph():
    images = RNG.integers(0, 256, (1, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(mean_of_pixels(NET, STILL, views=3)(images), images, atol=1e-3)
