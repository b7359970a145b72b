"""Image files from a stranger: cut, flipped, renamed, glued together,
or only claiming to be large.
"""

import io
import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tljax.data import photos

FORMATS = tuple(form for form in photos.formats() if form != "HEIF")  # which Pillow alone writes
WIDE = 50_000
STRICT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def encoded(form: str) -> bytes:
    image = Image.radial_gradient("L").resize((24, 20)).convert("P" if form == "GIF" else "RGB")
    image.save(stream := io.BytesIO(), form)
    return stream.getvalue()


WHOLE = {form: encoded(form) for form in FORMATS}


def damaged(data: bytes, flips: list, cut: float | None) -> bytes:
    """Bytes at fractions of the length replaced, the rest after `cut` left out."""
    content = bytearray(data)
    for at, value in flips:
        content[int(at * (len(content) - 1))] ^= value
    return bytes(content if cut is None else content[: int(cut * len(content))])


fraction = st.floats(0, 1, allow_nan=False)
flips = st.lists(st.tuples(fraction, st.integers(1, 255)), max_size=8)
one = st.builds(damaged, st.sampled_from(list(WHOLE.values())), flips, st.none() | fraction)
polyglot = st.builds(lambda a, b: a + b, one, one | st.binary(max_size=64))
headed = st.builds(
    lambda form, tail: WHOLE[form][:16] + tail, st.sampled_from(FORMATS), st.binary(max_size=200)
)
CONTENTS = one | polyglot | headed | st.binary(max_size=64)
NAMES = st.sampled_from(["a.jpg", "a.png", "a.gif", "a.txt", "a"])


def run(reading, folder, *, cases: int) -> None:
    read = reading("photo")

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CONTENTS, NAMES)
    def each(content, name):
        path = folder / name
        path.write_bytes(content)
        read(path)

    each()
    print(read.counts)
    assert min(read.counts.values()) > 0


def test_damage(reading, tmp_path):
    run(reading, tmp_path, cases=200)


@pytest.mark.slow
def test_much_damage(reading, tmp_path):
    run(reading, tmp_path, cases=2000)


def bomb(form: str) -> bytes:
    """A small image whose header declares 50,000 x 50,000 pixels,
    or what the format's own limit leaves of that.
    """
    content = bytearray(WHOLE[form])
    if form == "PNG":
        content[16:24] = struct.pack(">II", WIDE, WIDE)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif form == "BMP":
        content[18:26] = struct.pack("<ii", WIDE, WIDE)
    elif form == "GIF":
        content[6:10] = struct.pack("<HH", WIDE, WIDE)
    elif form == "JPEG":
        at = content.index(b"\xff\xc0")
        content[at + 5 : at + 9] = struct.pack(">HH", WIDE, WIDE)
    elif form == "TIFF":
        ((directory,), order) = struct.unpack("<I", content[4:8]), "<HHII"
        for at in range(directory + 2, directory + 26, 12):  # its first two entries: width, height
            tag, *_ = struct.unpack(order, content[at : at + 12])
            assert tag in (256, 257)
            content[at : at + 12] = struct.pack(order, tag, 4, 1, WIDE)
    elif form == "AVIF":
        at = content.index(b"ispe") + 8
        content[at : at + 8] = struct.pack(">II", WIDE, WIDE)
    else:
        at = content.index(b"\x9d\x01\x2a")
        content[at + 3 : at + 7] = struct.pack("<HH", 16383, 16383)
    return bytes(content)


@pytest.mark.parametrize("form", FORMATS)
def test_bombs(reading, tmp_path, form):
    path = tmp_path / "bomb.jpg"
    path.write_bytes(bomb(form))
    answer = reading("photo")(path)
    assert answer["outcome"] == "refused"
    assert (
        form in ("WEBP", "AVIF") or "2500000000 pixels" in answer["message"]
    )  # Pillow's own refusal, before it decodes


TURNED = (
    b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # orientation 6: on its side
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("TIFF", "RGB"),
        ("AVIF", "RGB"),
    ],
)
def test_the_largest_that_are_read_and_one_row_more(reading, tmp_path, form, mode):
    """On their side, which takes another copy."""
    most = photos.MAX_OF.get(form, photos.MAX_PIXELS)
    wide = 5000
    for rows, outcome in ((most // wide, "read"), (most // wide + 1, "refused")):
        image = Image.radial_gradient("L").resize((wide, rows)).convert(mode)
        exif = TURNED[6:] if form == "AVIF" else TURNED
        options = {"WEBP": {"method": 0}, "AVIF": {"speed": 10}}.get(form, {})
        options |= {} if form == "GIF" else {"exif": exif}
        image.save(tmp_path / "large", form, **options)
        assert reading("photo")(tmp_path / "large")["outcome"] == outcome
