"""Tests that need an accelerator; each is skipped, with the reason, where there is none.

On a machine without pytest-xdist: `pytest -m gpu -o addopts= tests/gpu`.
"""

import os

# Some tests start processes of their own on the same device.
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.3")

import jax
import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def accelerator():
    if jax.default_backend() == "cpu":
        pytest.skip("no accelerator: JAX found the CPU alone")


@pytest.fixture
def on_both():
    """Run a function on the accelerator and on the CPU: `(found, expected)` as NumPy trees."""

    def run(function, *arguments):
        results = []
        for device in (jax.devices()[0], jax.devices("cpu")[0]):
            with jax.default_device(device):
                # A function of its own for each: a program is compiled for one platform.
                given = jax.device_put(arguments, device)
                results.append(jax.device_get(jax.jit(lambda *given: function(*given))(*given)))
        return results

    return run


@pytest.fixture
def close():
    """Compare trees to a part of each leaf's largest value."""

    def compare(found, expected, *, part):
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
            np.testing.assert_allclose(a, b, rtol=0, atol=part * max(np.abs(b).max(), 1e-6))

    return compare
