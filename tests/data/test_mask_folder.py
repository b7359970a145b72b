"""Folders of photographs and masks: what is read, and each mistake in one line."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tljax.data import Labels, Places, load, masks
from tljax.errors import InputError
from tljax.tasks.pixels import VOID


def photograph(seed, height=24, width=32):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def mask(seed, classes=3, height=24, width=32):
    blocks = np.random.default_rng(seed).integers(0, classes, (height // 4, width // 4), np.uint8)
    return blocks.repeat(4, 0).repeat(4, 1)


def save(path, array, *, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image.putpalette([i * 37 % 256 for i in range(768)])
    image.save(path)


def made(root, *, splits=("train", "validation"), each=3, **options):
    for s, split in enumerate(splits):
        for i in range(each):
            seed = 10 * s + i
            save(root / split / "images" / f"{i}.png", photograph(seed))
            save(root / split / "masks" / f"{i}.png", mask(seed, **options), palette=i == 0)
    return root


def read(root, tmp_path, *, size=24, **options):
    return load(
        f"folder:{root}", size=size, places=Places(tmp_path / "cache"), progress=False, **options
    )


def test_photographs_and_masks_are_read_in_pairs(tmp_path):
    sets = read(made(tmp_path / "scenes"), tmp_path)
    assert sets.task.name == "segmentation"
    assert sets.classes == ("class 0", "class 1", "class 2")
    assert sets.size == (24, 32)
    assert "3 training and 3 validation images of 32 x 24" in sets.counts()
    for i in range(3):  # the first is a palette image: its indices are the classes
        np.testing.assert_array_equal(sets.train.labels[i], mask(i))
        np.testing.assert_array_equal(sets.validation.images[i], photograph(10 + i))


def test_the_shorter_side_is_the_size_and_masks_keep_their_classes(tmp_path):
    sets = read(made(tmp_path / "scenes"), tmp_path, size=12)
    assert sets.size == (12, 16)
    assert sets.train.labels.shape == (3, 12, 16)
    np.testing.assert_array_equal(sets.train.labels[0], mask(0)[1::2, 1::2])


def test_photographs_of_several_shapes_become_squares(tmp_path):
    root = made(tmp_path / "scenes")
    save(root / "train" / "images" / "tall.png", photograph(7, height=32, width=24))
    save(root / "train" / "masks" / "tall.png", mask(7, height=32, width=24))
    assert read(root, tmp_path).size == 24


def test_names_come_from_a_list_and_numbers_without_a_pixel_have_no_class(tmp_path):
    root = made(tmp_path / "scenes")
    (root / "classes.txt").write_text("sky\nroad\ncar\nnowhere\n")
    sets = read(root, tmp_path)
    assert sets.classes == ("sky", "road", "car")
    assert read(root, tmp_path, labels=Labels(classes=tuple("abcd"))).classes == ("a", "b", "c")


def test_a_void_number_is_no_class_and_the_others_keep_their_numbers(tmp_path):
    sets = read(made(tmp_path / "scenes"), tmp_path, labels=Labels(void=(0,)))
    assert sets.classes == ("class 1", "class 2")
    assert sets.task.numbers == (1, 2)
    expected = np.array([VOID, 0, 1], np.uint8)[mask(0)]
    np.testing.assert_array_equal(sets.train.labels[0], expected)


def test_a_folder_without_validation_is_split(tmp_path):
    root = tmp_path / "scenes"
    for i in range(10):
        save(root / "images" / f"{i}.png", photograph(i))
        save(root / "masks" / f"{i}.png", mask(i))
    sets = read(root, tmp_path)
    assert (len(sets.train), len(sets.validation)) == (8, 2)
    place = int(sets.validation.ids[0].removeprefix("images/").removesuffix(".png"))
    np.testing.assert_array_equal(sets.validation.labels[0], mask(place))


def test_another_mask_is_another_data_set(tmp_path):
    root = made(tmp_path / "scenes")
    before = read(root, tmp_path).digest
    save(root / "train" / "masks" / "1.png", mask(99))
    assert read(root, tmp_path).digest != before


def other_size(root):
    save(root / "train" / "masks" / "1.png", mask(1, height=20))


def rgb(root):
    save(root / "train" / "masks" / "1.png", photograph(1))


def no_png(root):
    (root / "train" / "masks" / "1.png").write_bytes(b"nothing")


def no_mask(root):
    (root / "train" / "masks" / "1.png").unlink()


def no_photograph(root):
    (root / "train" / "images" / "1.png").unlink()


def two_photographs(root):
    save(root / "train" / "images" / "1.bmp", photograph(77))


def above(root):
    (root / "classes.txt").write_text("sky\nroad\n")


def unnamed(root):
    (root / "classes.txt").write_text("sky\n\nroad\n")


def only_in_validation(root):
    save(root / "validation" / "masks" / "1.png", mask(1) + 5)


def twice(root):
    save(root / "validation" / "images" / "0.png", photograph(0))


def twice_named(root):
    (root / "classes.txt").write_text("sky\nroad\nsky\ncar\n")


def no_class_in_validation(root):
    for number in range(3):
        save(root / "validation" / "masks" / f"{number}.png", np.full_like(mask(number), 255))


def black_and_white(root):
    for path in root.glob("*/masks/*.png"):
        save(path, np.where(mask(int(path.stem)) > 0, 255, 0).astype(np.uint8))


def empty(root):
    (root / "train" / "masks" / "1.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (twice_named, r"classes.txt: expected classes that read differently, found 'sky' twice"),
        (no_class_in_validation, r": validation: expected masks with pixels of a class, found 255"),
        (
            black_and_white,
            r"expected two or more classes, found class 0 alone; .*255 is for pixels",
        ),
        (empty, r"masks/1.png: expected a PNG mask, found an empty file$"),
        (other_size, r"masks/1.png: expected a mask of 32 x 24 pixels.*found 32 x 20"),
        (rgb, r"masks/1.png: expected class numbers as 8-bit grey or palette, found RGB"),
        (no_png, r"masks/1.png: expected a PNG mask, found another file$"),
        (no_mask, r"images/1.png: expected its mask .*train/masks/1.png, found none"),
        (no_photograph, r"masks/1.png: expected its photograph in .*train/images, found none"),
        (two_photographs, r"images/1.png: expected one file 1, found train/images/1.bmp too"),
        (
            above,
            r"train/masks/0.png: expected classes 0 to 1 \(road is the last\), found 2; --void 2",
        ),
        (unnamed, r"classes.txt: expected a name in each line, found an empty one"),
        (only_in_validation, r"found none of class 5.* only for validation"),
        (twice, r"1 validation photographs have the same bytes as a training photograph"),
    ],
)
def test_each_mistake_is_one_line(tmp_path, spoil, message):
    root = made(tmp_path / "scenes")
    spoil(root)
    with pytest.raises(InputError, match=message) as error:
        read(root, tmp_path)
    assert "\n" not in str(error.value)


def test_names_that_are_given_twice_are_refused(tmp_path):
    root = made(tmp_path / "scenes")
    with pytest.raises(InputError, match=r"--classes: expected classes.* found 'a' twice"):
        read(root, tmp_path, labels=Labels(classes=("a", "b", "a", "c")))


def test_a_task_that_the_data_do_not_have_is_refused(tmp_path):
    root = made(tmp_path / "scenes")
    with pytest.raises(InputError, match=r"task: expected segmentation of .*found classification"):
        read(root, tmp_path, labels=Labels("classification"))
    with pytest.raises(InputError, match="task: expected classification of critters"):
        load("critters", size=32, labels=Labels("segmentation"), progress=False)


def test_resizing_invents_no_class():
    found = masks.resized(np.array([[0, 7], [200, 255]], np.uint8), (5, 3))
    assert found.shape == (5, 3)
    assert set(found.ravel()) == {0, 7, 200, 255}
    np.testing.assert_array_equal(masks.resized(mask(3), (24, 32)), mask(3))


def grey(pixels, bits):
    """A grey PNG of fewer than 8 bits, by the PNG specification: rows packed, each from a byte."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    whole = "".join(f"{int(value):0{bits}b}" for value in pixels.ravel())
    side, wide = len(pixels), pixels.shape[1] * bits // 8
    packed = int(whole, 2).to_bytes(side * wide, "big")
    rows = b"".join(b"\0" + packed[i * wide : (i + 1) * wide] for i in range(side))
    header = struct.pack(">IIBBBBB", pixels.shape[1], side, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_keeps_its_numbers(bits):
    """Pillow stretches 2 and 4 bits to 8: class 1 would be 85 or 17."""
    pixels = np.arange(64).reshape(8, 8) % 2**bits
    np.testing.assert_array_equal(masks.decode(grey(pixels, bits), name="x"), pixels)


def test_a_single_pair_cannot_be_held_out(tmp_path):
    root = tmp_path / "scenes"
    save(root / "images" / "0.png", photograph(0))
    save(root / "masks" / "0.png", mask(0))
    with pytest.raises(InputError, match="expected two different photographs"):
        read(root, tmp_path)
