"""Encoded bytes -> RGB squares: exact colours, corners and filter weights."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tljax.data import photos
from tljax.data.photos import CorruptPhoto, decode
from tljax.errors import InputError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )


def png(width: int, height: int, *, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand: Pillow writes neither 16-bit RGB nor a header that lies about the size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, [[RED, GREEN], [BLUE, WHITE]]),
        (2, [[GREEN, RED], [WHITE, BLUE]]),
        (3, [[WHITE, BLUE], [GREEN, RED]]),
        (4, [[BLUE, WHITE], [RED, GREEN]]),
        (5, [[RED, BLUE], [GREEN, WHITE]]),
        (6, [[BLUE, RED], [WHITE, GREEN]]),
        (7, [[WHITE, GREEN], [BLUE, RED]]),
        (8, [[GREEN, WHITE], [RED, BLUE]]),
    ],
)
def test_exif_orientation_turns_the_corners(orientation, upright):
    stored = Image.fromarray(np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(encoded(stored, exif=exif), size=2, name="x"), upright)


def test_an_unreadable_exif_block_leaves_the_photograph_as_it_is():
    data = encoded(Image.new("RGB", (4, 4), RED), exif=b"Exif\0\0not a tiff header at all")
    with photos.pillow_warnings():
        assert decode(data, size=1, name="x").tolist() == [[list(RED)]]


def palette(transparency=None) -> bytes:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([9, 9, 9, 10, 200, 30])
    return encoded(image) if transparency is None else encoded(image, transparency=transparency)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(Image.new("L", (2, 2), 77)), (77, 77, 77)),
        (encoded(Image.new("1", (2, 2), 1)), WHITE),
        (palette(), (10, 200, 30)),
        (palette(transparency=1), (10, 200, 30)),
        (palette(transparency=b"\xff\x40"), (10, 200, 30)),
        (encoded(Image.new("LA", (2, 2), (50, 0))), (50, 50, 50)),
        (encoded(Image.new("RGBA", (2, 2), (1, 2, 3, 0))), (1, 2, 3)),
        (
            encoded(Image.new("RGBA", (2, 2), (1, 2, 3, 128)), "WEBP", lossless=True, exact=True),
            (1, 2, 3),
        ),
    ],
    ids=[
        "grey",
        "bilevel",
        "palette",
        "palette-key",
        "palette-alpha",
        "grey-alpha",
        "rgba",
        "webp-alpha",
    ],
)
def test_every_mode_becomes_its_true_colours_and_alpha_is_dropped(data, expected):
    assert decode(data, size=1, name="x").tolist() == [[list(expected)]]


@pytest.mark.parametrize(
    ("cmyk", "rgb"),
    [
        ((0, 255, 255, 0), RED),
        ((255, 0, 255, 0), GREEN),
        ((0, 0, 0, 0), WHITE),
        ((0, 0, 0, 128), (127, 127, 127)),
    ],
)
def test_cmyk_jpeg(cmyk, rgb):
    data = encoded(Image.new("CMYK", (16, 16), cmyk), "JPEG", quality=100)
    np.testing.assert_allclose(decode(data, size=1, name="x")[0, 0], rgb, atol=2)


def test_16_bit_grey_is_scaled_and_not_clipped():
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    got = decode(encoded(Image.fromarray(ramp)), size=16, name="x")
    np.testing.assert_array_equal(got, np.repeat(np.arange(256).reshape(16, 16, 1), 3, axis=2))
    between = np.array(
        [[128, 129], [65407, 65406]], np.uint16
    )  # 257 k + 128 is nearer to k, + 129 to k + 1
    got = decode(encoded(Image.fromarray(between)), size=2, name="x")
    assert got[..., 0].tolist() == [[0, 1], [255, 254]]


def test_16_bit_rgb():
    row = b"\0" + struct.pack(">6H", 257 * 3, 257 * 200, 65535, 0, 257, 257 * 128)
    got = decode(png(2, 1, bits=16, colour=2, rows=row), size=2, name="x")
    assert got[0].tolist() == [[3, 200, 255], [0, 1, 128]]


def test_the_resize_is_bilinear_and_antialiased():
    """Triangle filter stretched by 2: weights 3/7, 3/7, 1/7 at the edge;
    without antialiasing 0 and 105.
    """
    column = np.zeros((4, 4, 3), np.uint8)
    column[:, 2] = 210
    got = decode(encoded(Image.fromarray(column)), size=2, name="x")
    assert got[..., 0].tolist() == [[30, 90], [30, 90]]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 200), (200, 1), (37, 91), (640, 480)])
def test_any_size_and_aspect_gives_the_whole_image_as_a_square(width, height):
    got = decode(encoded(Image.new("RGB", (width, height), BLUE)), size=8, name="x")
    assert got.shape == (8, 8, 3)
    assert got.dtype == np.uint8
    assert (got == BLUE).all()
    halves = Image.new("RGB", (300, 20), RED)
    halves.paste(BLUE, (150, 0, 300, 20))
    got = decode(encoded(halves), size=4, name="x")
    assert (got[:, 0] == RED).all()
    assert (got[:, 3] == BLUE).all()


@pytest.mark.parametrize("format", photos.formats())
def test_the_format_is_recognised_by_content(format):
    got = decode(
        encoded(Image.new("RGB", (32, 32), (200, 30, 60)), format), size=2, name="wrong.jpg"
    )
    np.testing.assert_allclose(got, np.full((2, 2, 3), (200, 30, 60)), atol=3)


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (4, 4), colour) for colour in (GREEN, RED)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data, size=1, name="x").tolist() == [[list(GREEN)]]


@pytest.mark.parametrize("format", photos.formats())
def test_a_truncated_file_is_corrupt(format):
    data = encoded(noise(64, 64), format)
    with pytest.raises(CorruptPhoto, match=r"^dog/7\.jpg: "):
        decode(data[: len(data) // 2], size=8, name="dog/7.jpg")


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>no such photograph</html>", b"\xff\xd8\xff\xe0", encoded(noise(4, 4), "TGA")],
    ids=["empty", "html", "stub", "another kind"],
)
def test_what_is_no_photograph_is_corrupt_in_one_line_that_names_it(data):
    with pytest.raises(CorruptPhoto, match=r"^cat/3\.jpg: ") as caught:
        decode(data, size=8, name="cat/3.jpg")
    assert isinstance(caught.value, InputError)
    assert "\n" not in str(caught.value)
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize("side", [10_000, 30_000], ids=["Pillow warns", "Pillow raises"])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side):
    data = png(side, side, bits=1, colour=0, rows=b"")
    with photos.pillow_warnings(), pytest.raises(CorruptPhoto, match=r"^bomb\.png: .*pixels"):
        decode(data, size=8, name="bomb.png")


def test_taking_from_a_listing_keeps_everything_together():
    contents = [b"a", b"b", b"c"]
    digests = tuple(map(photos.sha256, contents))
    listing = photos.Listing(
        ("0", "1", "2"), np.array([5, 6, 7], np.int32), digests, contents.__getitem__
    )
    taken = listing.take([2, 0]).take([0])
    assert (taken.ids, taken.labels.tolist(), taken.read(0)) == (("2",), [7], b"c")
    assert taken.digests == (photos.sha256(b"c"),)
    assert listing.take([]).labels.dtype == np.int32


def test_16_bit_tiff_is_read_and_floating_point_tiff_named():
    grey = np.full((4, 4), 0x8080, np.uint16)
    assert decode(encoded(Image.fromarray(grey), "TIFF"), size=1, name="x").tolist() == [
        [[128, 128, 128]]
    ]
    data = encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    with pytest.raises(CorruptPhoto, match=r"^x: F pixels, expected 8 or 16 bits"):
        decode(data, size=1, name="x")
