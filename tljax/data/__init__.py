"""Data: photographs -> arrays."""

from tljax.data.arrays import from_arrays
from tljax.data.label_columns import Columns
from tljax.data.mask_folder import Legend
from tljax.data.sources import ImageSet, ImageSets, Tolerance, load

__all__ = ["Columns", "ImageSet", "ImageSets", "Legend", "Tolerance", "from_arrays", "load"]
