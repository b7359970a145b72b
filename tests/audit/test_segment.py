"""Kernels of a step as training runs it: how many there are, and what augmentation adds."""

import functools
from dataclasses import replace

import jax
import pytest

from tljax import config
from tljax.audit import segment
from tljax.machine import devices

SCRATCH = replace(config.PRESETS["deck-keras3"]["scratch"], batch_size=8)
SMALL = replace(config.NETWORKS["scratch"], hidden=8)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """One device: several send to one another."""
    one = devices.mesh(jax.devices()[:1])
    monkeypatch.setattr(devices, "mesh_for", lambda batch_size: one)


@functools.cache
def found(stage):
    return segment.launches(stage, SMALL, classes=2, size=48)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="a ceiling of XLA on CPU")
def test_a_step_from_scratch_starts_no_more_kernels_than_this():
    """256 with JAX 0.10.2, of which 85 draw dropout, in a loop that other platforms do not have.

    It was 354 while maps were drawn at each step and each gradient had a norm of its own.
    """
    assert found(SCRATCH) <= 262


def test_augmentation_is_drawn_once_for_a_segment():
    """A step with it reads and warps its batch: a few kernels more than one that reads it."""
    plain = found(replace(SCRATCH, augment=None))
    warped = found(SCRATCH)
    assert plain < warped < plain + 40
