"""Data: photographs -> arrays."""

from tljax.data.arrays import from_arrays
from tljax.data.sources import ImageSet, ImageSets, load

__all__ = ["ImageSet", "ImageSets", "from_arrays", "load"]
