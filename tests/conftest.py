"""A strict session: eight simulated devices, warnings are errors (see pyproject.toml)."""

import os
import pathlib

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("KERAS_BACKEND", "jax")

import matplotlib
import pytest

matplotlib.use("Agg")

REAL_IMAGES = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_images() -> pathlib.Path:
    """Folder of real photographs beside the checkout; tests that want it are skipped where it is absent."""
    if not REAL_IMAGES.is_dir():
        pytest.skip(f"no real photographs at {REAL_IMAGES}")
    return REAL_IMAGES


@pytest.fixture(scope="session")
def in_a_hurry():
    """Compiler options: compiling takes most of the time here, and a ladder is a dozen programs."""
    return lambda: {"xla_backend_optimization_level": 0}
