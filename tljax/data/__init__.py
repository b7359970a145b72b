"""Photographs -> arrays."""

from tljax.data.sources import ImageSet, ImageSets, load

__all__ = ["ImageSet", "ImageSets", "load"]
