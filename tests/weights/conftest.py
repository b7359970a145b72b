"""A small VGG16 in memory, and a check that a refusal is one line."""

import types

import numpy as np
import pytest

from tljax.errors import InputError
from tljax.models.vgg import CONVS, channels

WIDTH = 1 / 32


def small_layers(*, side: int = 2, hidden: int = 6, classes: int = 4) -> dict:
    """A random VGG16 of width 1/32, with its top: {"block1_conv1": {"kernel", "bias"},
    ..., "predictions": ...}.
    """
    rng, before, shapes = np.random.default_rng(0), 3, {}
    for layer in CONVS:
        shapes[layer] = (3, 3, before, channels(layer, WIDTH))
        before = channels(layer, WIDTH)
    shapes |= {
        "fc1": (before * side**2, hidden),
        "fc2": (hidden, hidden),
        "predictions": (hidden, classes),
    }
    return {
        layer: {
            "kernel": rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32),
            "bias": rng.uniform(-0.1, 0.1, shape[-1]).astype(np.float32),
        }
        for layer, shape in shapes.items()
    }


def refusal(call, *args, **kwargs) -> str:
    """The message of the InputError: one line, not a long one."""
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 900
    return message


@pytest.fixture
def vgg():
    """These helpers; test files cannot import each other."""
    return types.SimpleNamespace(layers=small_layers, refusal=refusal, width=WIDTH)
