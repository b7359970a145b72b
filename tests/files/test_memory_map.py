"""Rows of a memory map are asked for by whole pages, wherever the array lies in its file."""

import mmap

import numpy as np
import pytest

from tljax.files.memory_map import ranges, read_ahead


@pytest.fixture
def mapped(tmp_path):
    """50 rows of 3,000 bytes, after a header of 100."""
    path = tmp_path / "rows"
    path.write_bytes(bytes(100) + bytes(range(250)) * 12 * 50)
    return np.memmap(path, np.uint8, "r", offset=100, shape=(50, 3000))


def test_rows_are_ranges_of_whole_pages(mapped):
    first = mapped.ctypes.data - 100  # of the file
    page = mmap.PAGESIZE
    starts = [100 + 3000 * row for row in (40, 0, 7)]
    pages = [start // page * page for start in starts]
    expected = [(p, start - p + 3000) for p, start in zip(pages, starts, strict=True)]
    assert ranges(mapped, np.array([40, 0, 7]), first=first) == expected


def test_rows_of_a_part_of_a_map_are_asked_for(mapped):
    first = mapped.ctypes.data - 100
    part = mapped[10:20]
    assert ranges(part, np.array([3]), first=first) == ranges(mapped, np.array([13]), first=first)
    read_ahead(part, np.arange(10))  # the system refuses a start within a page
    np.testing.assert_array_equal(part[3], np.resize(np.arange(250), 3000))


def test_an_array_in_memory_is_left_alone():
    read_ahead(np.zeros((3, 4)), np.array([1]))
