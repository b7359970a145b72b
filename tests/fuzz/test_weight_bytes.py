"""Weights files of a stranger, with bits flipped or cut short,
or a pickle that asks for more than tensors.
"""

import io
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as to_safetensors

from tljax.models.vgg import CONVS, channels
from tljax.weights.torch.names import from_keras

STRICT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
WIDTH = 1 / 64


def layers() -> dict:
    """A VGG16 of width 1/64 without its top."""
    found, before = {}, 3
    for layer in CONVS:
        after = channels(layer, WIDTH)
        found[layer] = {
            "kernel": np.ones((3, 3, before, after), np.float32),
            "bias": np.zeros(after, np.float32),
        }
        before = after
    return found


def keras() -> bytes:
    with h5py.File(stream := io.BytesIO(), "w") as file:
        for layer, leaves in layers().items():
            for leaf, array in leaves.items():
                file[f"{layer}/{layer}/{leaf}:0"] = array
    return stream.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


WHOLE = {
    "keras.h5": keras(),
    "keras": archive({"config.json": b"{}", "model.weights.h5": keras()}),
    "safetensors": to_safetensors(from_keras(layers())),
}


def damaged(data: bytes, flips: list, cut: float | None) -> bytes:
    """Bits flipped at fractions of the length, the rest after `cut` left out."""
    content = bytearray(data)
    for at, bit in flips:
        content[int(at * (len(content) - 1))] ^= 1 << bit
    return bytes(content if cut is None else content[: int(cut * len(content))])


fraction = st.floats(0, 1, allow_nan=False)
places = fraction | fraction.map(lambda at: at**4)  # headers lie at the beginning
flips = st.lists(st.tuples(places, st.integers(0, 7)), max_size=6)


def run(reading, folder, *, layout: str, cases: int) -> None:
    read = reading("weights")

    @settings(STRICT, max_examples=cases)
    @given(flips, st.none() | fraction)
    def each(flips, cut):
        path = folder / "weights"
        path.write_bytes(damaged(WHOLE[layout], flips, cut))
        read(path)

    each()
    print(layout, read.counts)
    assert min(read.counts.values()) > 0


@pytest.mark.parametrize("layout", list(WHOLE))
def test_damage(reading, tmp_path, layout):
    run(reading, tmp_path, layout=layout, cases=200)


@pytest.mark.slow
@pytest.mark.parametrize("layout", list(WHOLE))
def test_much_damage(reading, tmp_path, layout):
    run(reading, tmp_path, layout=layout, cases=2000)


class Canary:
    """What a hostile pickle holds: a call."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_is_refused_and_calls_nothing(reading, tmp_path, protocol):
    canary, path = tmp_path / "canary", tmp_path / "weights.pth"
    path.write_bytes(archive({"x/data.pkl": pickle.dumps({"w": Canary(canary)}, protocol)}))
    answer = reading("weights")(path)
    assert answer["outcome"] == "refused"
    assert "asks for 'io.open'" in answer["message"] or "asks for '_io.open'" in answer["message"]
    assert not canary.exists()
