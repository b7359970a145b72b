"""A disk that fills up or cannot be written: one line, nothing lost,
and once there is room the same bits.
"""

import contextlib
import os

import numpy as np
import pytest

from tljax.data import ImageSet, ImageSets, cache
from tljax.data.augment import Augment
from tljax.data.preprocess import TORCH
from tljax.errors import InputError
from tljax.inputs import feature_store
from tljax.inputs.images import from_prefix
from tljax.inputs.prefix import Prefix
from tljax.models import vgg
from tljax.models.vgg import CONVS, VGG16, channels
from tljax.weights import Weights, safe
from tljax.weights.keras import write as keras_write
from tljax.weights.torch import safetensors as torch_safe

from . import disks

FULL = r"cannot be written: .*(No space left on device|File too large)"


@pytest.fixture(params=["disk", "limit"])
def full(request, tmp_path):
    """`full(left)`: a context in which `full.folder` has so many bytes left; of a real disk,
    and by a limit of the process, which works everywhere.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    with (
        disks.mounted(folder, kilobytes=4096)
        if request.param == "disk"
        else contextlib.nullcontext(False) as real
    ):
        if request.param == "disk" and not real:
            pytest.skip("mounting is not allowed here")

        def full(left):
            return disks.full(folder, left=left, mounted=real)

        full.folder = folder
        yield full


def refused(call):
    with pytest.raises(InputError, match=FULL) as caught:
        call()
    assert "\n" not in str(caught.value)


ROWS = np.random.default_rng(0).random((40, 25, 100), np.float32)  # 400 kB


def stored(folder, *, count=40, name="train", starts=None):
    def compute(start, stop):
        assert starts is not None, "rows that were stored are computed again"
        starts.append(start)
        return ROWS[start:stop]

    wanted = feature_store.Rows(name, {}, count, ROWS.shape[1:])
    return feature_store.stored(folder / "features.h5", wanted, compute=compute, block=5)


@pytest.mark.parametrize("left", [0, 4096, 120_000, 340_000, 420_000, 600_000])
def test_features(full, left):
    """Full in the rows' own part, or in HDF5's file,
    which would crash the process if it learned of it.
    """
    stored(full.folder, count=5, name="validation", starts=[])
    first, rest = [], []
    with full(left):
        if left == 600_000 and not os.path.ismount(full.folder):
            pytest.skip("each of the two files is smaller than the limit")
        refused(lambda: stored(full.folder, starts=first))
        np.testing.assert_array_equal(stored(full.folder, count=5, name="validation"), ROWS[:5])
    np.testing.assert_array_equal(stored(full.folder, starts=rest), ROWS)
    np.testing.assert_array_equal(stored(full.folder), ROWS)
    # The block that did not fit is computed again, all others once.
    assert sorted({*first, *rest}) == list(range(0, 40, 5))
    assert len(first) + len(rest) in (8, 9)
    assert os.listdir(full.folder) == ["features.h5"]


@pytest.mark.parametrize("left", [0, 20_000])
def test_a_full_cache_of_features_stops_no_run(full, left, tmp_path, capsys):
    """A view is 40 kB.

    Told once; the run's own folder takes what the cache does not, and later runs find it there.

    By the limit both are full: held in memory.
    """
    images = ROWS.view(np.uint8)[:, :16, :48].reshape(40, 16, 16, 3)
    photographs = ImageSet(images, np.arange(40, dtype=np.int32) % 2, tuple(map(str, range(40))))
    sets = ImageSets("test", ("cat", "dog"), photographs, photographs, "0" * 64)
    base, variables = VGG16(width=1 / 16), {"params": layers()}
    prefix = Prefix(vgg.ARCHITECTURE, base, variables, "block1_pool", TORCH, Augment(), views=2)
    store = [full.folder / "features", tmp_path / "run" / "features"]
    with full(left):
        found = from_prefix(sets, prefix, store=store, progress=False)
    refusing = store[:1] if os.path.ismount(full.folder) else store
    for folder, said in zip(refusing, capsys.readouterr().out.splitlines(), strict=True):
        assert said.startswith(str(folder))
        assert said.endswith("what was saved before is whole; features go elsewhere")
    assert len(found.files) == (3 if len(refusing) == 1 else 0)
    assert all(file.is_relative_to(store[1]) for file in found.files)
    again = from_prefix(sets, prefix, store=store, progress=False)
    assert again.made == 3 - len(found.files)
    np.testing.assert_array_equal(again.train.inputs, found.train.inputs)


@pytest.mark.parametrize("left", [0, 4096, 60_000])
def test_the_cache(full, left):
    rows = [np.full((50, 50, 3), i, np.uint8) for i in range(10)]  # 75 kB

    def stored():
        shape = (10, 50, 50, 3)
        return cache.stored(["rows"], lambda: iter(rows), shape=shape, folder=full.folder)

    with full(left), pytest.raises(InputError, match="the cache cannot be written") as caught:
        stored()
    assert "\n" not in str(caught.value)
    assert os.listdir(full.folder) == []
    np.testing.assert_array_equal(stored()[0], np.stack(rows))


def layers():
    found, before = {}, 3
    for layer in CONVS:
        after = channels(layer, 1 / 16)
        found[layer] = {
            "kernel": np.ones((3, 3, before, after), np.float32),
            "bias": np.zeros(after, np.float32),
        }
        before = after
    return found


@pytest.mark.parametrize(
    "write", [safe.write, torch_safe.write, keras_write.write], ids=lambda f: f.__module__
)
@pytest.mark.parametrize("left", [0, 8192, 150_000])
def test_weights(full, write, left):
    """230 kB; the file that was there stays."""
    path = full.folder / "weights"
    path.write_bytes(b"before")
    weights = Weights(layers(), {"name": "vgg16", "width": 1 / 16}, TORCH, ("a", "b"), {})
    with full(left):
        refused(lambda: write(path, weights))
    assert os.listdir(full.folder) == ["weights"]
    assert path.read_bytes() == b"before"
    write(path, weights)
    assert path.stat().st_size > 230_000
