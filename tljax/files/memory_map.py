"""Rows of a memory-mapped file, read from the disk many at a time."""

# pyright: strict

import mmap
from typing import Any

import numpy as np


def read_ahead(array: np.ndarray, rows: np.ndarray) -> None:
    """Ask the system to read these rows of an array now, if it is a map of a file.

    Returns at once. Without it a copy of scattered rows waits for the disk at every few pages: a
    disk that can serve many requests at once then gets one.
    """
    held: Any = array
    while isinstance(held, np.ndarray):
        held = held.base
    if isinstance(held, mmap.mmap) and hasattr(mmap, "MADV_WILLNEED"):
        for start, length in ranges(array, rows, first=np.frombuffer(held, np.uint8).ctypes.data):
            held.madvise(mmap.MADV_WILLNEED, start, length)


def ranges(array: np.ndarray, rows: np.ndarray, *, first: int) -> list[tuple[int, int]]:
    """List the bytes of rows as `(start, length)` from the address `first`, from whole pages on."""
    size = array.strides[0]
    starts = array.ctypes.data - first + rows.astype(np.int64) * size
    pages = starts // mmap.PAGESIZE * mmap.PAGESIZE
    return list(zip(pages.tolist(), (starts - pages + size).tolist(), strict=True))
