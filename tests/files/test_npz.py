"""Arrays come back as they were, and NumPy reads what we write;
what a stranger makes of a file is one line.
"""

import io
import zipfile

import numpy as np
import pytest

from tljax.errors import InputError
from tljax.files import npz

ARRAYS = {
    "logits": np.arange(6, dtype=np.float32).reshape(2, 3),
    "labels": np.array([1, -1], np.int32),
    "ids": np.array(["cat.1", "\N{DOG FACE}", ""]),
    "note": np.array("text"),
    "none": np.zeros((0, 4), np.uint8),
    "right": np.array([True, False]),
}


@pytest.fixture
def path(tmp_path):
    return npz.write(tmp_path / "new" / "x.npz", ARRAYS)


def test_what_is_written_comes_back_and_numpy_reads_it(path):
    found = npz.read(path)
    assert list(found) == list(ARRAYS)
    with np.load(path, allow_pickle=False) as file:
        for name, array in ARRAYS.items():
            for read in (found[name], file[name]):
                assert (read.dtype, read.shape) == (array.dtype, array.shape)
                np.testing.assert_array_equal(read, array)


def test_what_numpy_writes_is_read_and_the_same_arrays_are_the_same_bytes(path, tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "numpy.npz", **ARRAYS, turned=np.asfortranarray(ARRAYS["logits"]))
        found = npz.read(tmp_path / "numpy.npz")
        np.testing.assert_array_equal(found["turned"], ARRAYS["logits"])
        np.testing.assert_array_equal(found["ids"], ARRAYS["ids"])
    assert npz.write(tmp_path / "again.npz", ARRAYS).read_bytes() == path.read_bytes()


def test_kinds_and_dimensions_are_checked(path):
    assert set(npz.read(path, {"ids": "U1", "note": "U0"})) == {"ids", "note"}
    for wanted, message in (
        (
            {"logits": "f1"},
            r"x\.npz: logits: expected floats of 1 dimensions, found float32 \[2, 3\]",
        ),
        ({"labels": "f1"}, r"x\.npz: labels: expected floats of 1 dimensions, found int32 \[2\]"),
        (
            {"losses": "f1", "ids": "U1"},
            r"x\.npz: expected an \.npz with losses, ids: .*losses\.npy",
        ),
    ):
        with pytest.raises(InputError, match=message):
            npz.read(path, wanted)


def member(header, body=b"", *, packed=zipfile.ZIP_STORED, length=None):
    """An archive of one member "x" with this header."""
    text = header.ljust(117).encode() + b"\n"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", packed) as archive:
        size = (len(text) if length is None else length).to_bytes(2, "little")
        archive.writestr("x.npy", b"\x93NUMPY\x01\0" + size + text + body)
    return data.getvalue()


def described(descr, shape):
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"


def encrypted(data):
    """With the flag of an encrypted member set in both of its headers."""
    content = bytearray(data)
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected an .npz: File is not a zip file"),
        (
            member(described("<f4", "(1000000000000000,)")),
            "0 bytes for float32 \\[1000000000000000\\]",
        ),
        (member(described("<f4", "(2,)"), b"1234567"), "7 bytes for float32"),
        (member(described("<f3", "(1,)"), b"123"), "no dtype b'<f3'"),
        (member(described("|O", "(1,)"), b"cos\nsystem\n"), "no array of numbers or text"),
        (member(described("<U1", "(1,)"), b"\xff" * 4), "text that is no Unicode"),
        (member("(" * 5000), "no array of numbers or text"),
        (member(described("<U0", "(99999999999999999,)")), "0 bytes for <U0"),
        (
            member(described("|u1", "(70000000,)"), bytes(70_000_000), packed=zipfile.ZIP_DEFLATED),
            "unpacks to 700001",
        ),
        (encrypted(member(described("<f4", "(1,)"), b"1234")), "encrypted"),
    ],
    ids=[
        "empty",
        "huge",
        "too short",
        "no dtype",
        "pickle",
        "no text",
        "nested",
        "no width",
        "swollen",
        "encrypted",
    ],
)
def test_what_a_stranger_makes_is_refused_in_one_line(tmp_path, data, message):
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        npz.read(tmp_path / "x.npz")
    assert str(caught.value).startswith(f"{tmp_path}/x.npz: ")
    assert "\n" not in str(caught.value)
