"""Decoded photographs: read back bit for bit, decoded again when damaged, never half written."""

import io
import json
import os
import pathlib
import pwd
import sys
import tempfile
import threading

import numpy as np
import pytest
from PIL import Image

from tljax import waiting
from tljax.data import cache, photos
from tljax.errors import InputError
from tljax.files.home import default_folder


def png(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3, 3), colour).save(out, "PNG")
    return out.getvalue()


CONTENTS = [png((i, 2 * i, 255 - i)) for i in range(10)]
COLOURS = [[i, 2 * i, 255 - i] for i in range(10)]


def listing(contents: list[bytes]) -> photos.Listing:
    ids = tuple(f"{i}.png" for i in range(len(contents)))
    digests = tuple(map(photos.sha256, contents))
    return photos.Listing(ids, np.zeros(len(contents), np.int32), digests, contents.__getitem__)


def decoded(contents: list[bytes], folder: pathlib.Path, size: int = 4):
    return cache.decoded(listing(contents), size=size, folder=folder, progress=False, name="train")


@pytest.fixture
def decodes(monkeypatch) -> list[str]:
    """The names of what is decoded from here on."""
    seen, decode = [], photos.decode
    monkeypatch.setattr(
        photos,
        "decode",
        lambda data, *, size, name: seen.append(name) or decode(data, size=size, name=name),
    )
    return seen


def test_decoded_once_and_then_read_through_a_memory_map(tmp_path, decodes):
    first, corrupt = decoded(CONTENTS, tmp_path)
    assert len(decodes) == 10
    again, _ = decoded(CONTENTS, tmp_path)
    assert len(decodes) == 10
    for images in (first, again):
        assert isinstance(images, np.memmap)
        assert (images.shape, images.dtype) == ((10, 4, 4, 3), np.uint8)
        np.testing.assert_array_equal(
            images, np.broadcast_to(np.array(COLOURS)[:, None, None], (10, 4, 4, 3))
        )
    assert corrupt == {}
    assert not first.flags.writeable


def test_another_size_content_order_or_decoder_is_another_array(tmp_path, decodes, monkeypatch):
    decoded(CONTENTS, tmp_path)
    decoded(CONTENTS, tmp_path, size=5)
    decoded(CONTENTS[::-1], tmp_path)
    decoded([*CONTENTS[:9], png((99, 99, 99))], tmp_path)
    monkeypatch.setattr(photos, "DECODER", photos.DECODER + 1)
    decoded(CONTENTS, tmp_path)
    assert len(decodes) == 50
    assert len(list(tmp_path.glob("*.npy"))) == 5


def flip(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)


def shapeless(path: pathlib.Path) -> None:
    np.save(path, np.zeros((10, 4, 4, 3), np.float32))


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".npy", flip),
        (".npy", lambda path: os.truncate(path, 300)),
        (".npy", lambda path: os.truncate(path, 0)),
        (".npy", os.remove),
        (".npy", shapeless),
        (".npy", lambda path: path.write_bytes(b"\x80\x04pickle")),
        (".json", os.remove),
        (".json", lambda path: os.truncate(path, 20)),
        (".json", lambda path: path.write_text("[]")),
        (".json", lambda path: path.write_text('{"sha256": "0", "good": 10, "corrupt": {}}')),
        (".json", lambda path: path.write_text('{"sha256": "0", "good": 4, "corrupt": {}}')),
    ],
)
def test_a_damaged_cache_is_seen_and_made_again(tmp_path, decodes, suffix, damage):
    decoded(CONTENTS, tmp_path)
    [path] = tmp_path.glob(f"*{suffix}")
    damage(path)
    images, _ = decoded(CONTENTS, tmp_path)
    assert len(decodes) == 20
    assert images[:, 0, 0].tolist() == COLOURS
    decoded(CONTENTS, tmp_path)
    assert len(decodes) == 20


def test_corrupt_photographs_leave_no_row_and_are_remembered(tmp_path, decodes):
    contents = [CONTENTS[0], b"no", CONTENTS[1], CONTENTS[2], b"nor this"]
    for _ in range(2):
        images, corrupt = decoded(contents, tmp_path)
        assert images[:, 0, 0].tolist() == COLOURS[:3]
        assert list(corrupt) == [1, 4]
        assert corrupt[4].startswith("4.png: not a ")
    assert len(decodes) == 5


def test_nothing_is_left_of_a_decoding_that_stops_half_way(tmp_path):
    def rows():
        yield np.zeros((4, 4, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.stored(["half"], rows, shape=(2, 4, 4, 3), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_set_is_streamed_and_never_held(monkeypatch):
    """No more than a chunk is read ahead of what has been taken."""
    monkeypatch.setattr(cache, "CHUNK", 4)
    reads, lock, whole = [], threading.Lock(), listing(CONTENTS)

    def read(i: int) -> bytes:
        with lock:
            reads.append(i)
        return CONTENTS[i]

    counted = photos.Listing(whole.ids, whole.labels, whole.digests, read)
    rows = cache.decode_all(counted, size=4, progress=False, name="train")
    for taken in range(1, 11):
        next(rows)
        assert len(reads) <= -(-taken // 4) * 4
    assert list(rows) == []
    assert sorted(reads) == list(range(10))


def test_a_photograph_that_changes_while_it_is_read_is_refused(tmp_path):
    whole = listing(CONTENTS)
    changed = photos.Listing(whole.ids, whole.labels, whole.digests, lambda i: CONTENTS[0])
    with pytest.raises(InputError, match=r"^\d\.png: changed while"):
        cache.decoded(changed, size=4, folder=tmp_path, progress=False, name="train")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file/cache: the cache cannot be written"):
        decoded(CONTENTS, tmp_path / "file" / "cache")


def test_the_progress_bar_counts_to_the_end(tmp_path, monkeypatch):
    bars, made = [], waiting.bar
    monkeypatch.setattr(waiting, "bar", lambda *a, **b: bars.append(made(*a, **b)) or bars[-1])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    cache.decoded(listing(CONTENTS), size=4, folder=tmp_path, progress=True, name="validation")
    [bar] = bars
    assert (bar.desc, bar.n, bar.total) == ("decode validation", 10, 10)


def test_the_default_folder(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == pathlib.Path("/somewhere/tljax")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_folder() == pathlib.Path("/home/someone/.cache/tljax")


def test_the_array_is_plain_numpy_with_its_sha256_beside_it(tmp_path):
    images, _ = decoded(CONTENTS, tmp_path)
    [array], [meta] = tmp_path.glob("*.npy"), tmp_path.glob("*.json")
    np.testing.assert_array_equal(np.load(array), images)
    assert json.loads(meta.read_text()) == {
        "sha256": photos.sha256(images.tobytes()),
        "good": 10,
        "corrupt": {},
    }


def test_a_user_without_a_home_has_a_folder_of_its_own_among_temporary_files(tmp_path, monkeypatch):
    """As in a container with an unknown user id: no HOME, and no entry in the list of users."""

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    folder = default_folder()
    assert folder == tmp_path / f"tljax-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert default_folder() == folder
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    (tmp_path / "tljax-12345").mkdir()
    with pytest.raises(InputError, match="belongs to another user; the variable XDG_CACHE_HOME"):
        default_folder()
