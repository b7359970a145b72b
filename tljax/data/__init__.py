"""Data: photographs -> arrays."""

from tljax.data.arrays import from_arrays
from tljax.data.sources import ImageSet, ImageSets, Tolerance, load

__all__ = ["ImageSet", "ImageSets", "Tolerance", "from_arrays", "load"]
