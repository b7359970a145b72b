"""Archives of photographs: names that lead elsewhere, links, bombs, bits flipped.

Nothing of them is written.
"""

import io
import stat
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

STRICT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
NAMES = (
    "PetImages/Cat/1.jpg",
    "PetImages\\Dog\\2.jpg",
    "../PetImages/Cat/1.jpg",
    "PetImages/Cat/../../../1.jpg",
    "/etc/PetImages/Cat/1.jpg",
    "C:\\PetImages\\Cat\\1.jpg",
    "PetImages/Cat/9.jpg\0.exe",
    "PetImages/Cat/\u0661.jpg",
)
fraction = st.floats(0, 1, allow_nan=False)
flips = st.lists(st.tuples(fraction, st.integers(0, 7)), max_size=3)


def archive(names, content, link, deflated, flips, cut) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as file:
        for i, name in enumerate(names):
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            if link:
                info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, b"../../outside" if link else content + bytes([i]))
    data = bytearray(stream.getvalue())
    for at, bit in flips:
        data[int(at * (len(data) - 1))] ^= 1 << bit
    return bytes(data if cut is None else data[: int(cut * len(data))])


CONTENTS = st.builds(
    archive,
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True),
    st.binary(max_size=60),
    st.booleans(),
    st.booleans(),
    flips,
    st.none() | fraction,
)


def run(reading, folder, *, cases):
    read, path = reading("archive"), folder / "case" / "archive.zip"
    path.parent.mkdir()

    @settings(STRICT, max_examples=cases)
    @given(CONTENTS)
    def each(content):
        path.write_bytes(content)
        read(path)
        assert [file.name for file in path.parent.iterdir()] == ["archive.zip"]

    each()
    print("archive", read.counts)
    assert min(read.counts.values()) > 0
    assert [file.name for file in folder.iterdir()] == ["case"]


def test_damage(reading, tmp_path):
    run(reading, tmp_path, cases=200)


@pytest.mark.slow
def test_much_damage(reading, tmp_path):
    run(reading, tmp_path, cases=2000)


def test_a_photograph_that_swells(reading, tmp_path):
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("PetImages/Cat/1.jpg", bytes(1 << 28))
    answer = reading("archive")(path)
    assert "PetImages/Cat/1.jpg: declares 268435456 bytes" in answer["message"]
